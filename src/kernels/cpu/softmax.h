#pragma once
#include "kernels/rows.h"

namespace heed::kernels {

/// Softmax over all rows of the views given; as in rows.h.
struct SoftmaxKernels {
  void (*cross_entropy)(View logits, const std::int32_t* targets, float smoothing, View gradient, float* loss,
                        float* negative_log_likelihood, float* correct);
  void (*softmax)(View x, bool logarithm);
};

}  // namespace heed::kernels
