#pragma once
#include "kernels/rows.h"

namespace heed::kernels {

/// Layer norm and RMS norm on all rows of the views given. `mean` is null for RMS norm.
struct NormKernels {
  void (*layer)(View x, const float* gain, const float* bias, float epsilon, View y, float* mean, float* inverse);
  void (*rms)(View x, const float* gain, float epsilon, View y, float* inverse);
  /// dx as the view says (data null: none). gain_sum and bias_sum, [width] or null, are added to.
  void (*layer_backward)(View x, const float* gain, const float* mean, const float* inverse, View dy, View dx,
                         bool accumulate_x, float* gain_sum, float* bias_sum);
  void (*rms_backward)(View x, const float* gain, const float* inverse, View dy, View dx, bool accumulate_x,
                       float* gain_sum);
};

}  // namespace heed::kernels
