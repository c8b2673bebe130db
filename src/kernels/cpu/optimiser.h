#pragma once
#include "kernels/rows.h"

namespace heed::kernels {

/// Steps of optimisers on `count` elements; as in rows.h.
struct OptimiserKernels {
  void (*adam)(float* weight, const float* gradient, float* first, float* second, std::int64_t count,
               const Adam& options);
  void (*sgd)(float* weight, const float* gradient, float* velocity, std::int64_t count, float rate, float momentum,
              float decay, float gradient_scale);
};

}  // namespace heed::kernels
