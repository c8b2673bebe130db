#pragma once
#include <heed/ops.h>

namespace heed {

/// A second distribution over the classes that the softmax is mixed with, as a row's target sees it. The gradients are
/// then those of the softmax's operands alone.
struct Mixture {
  const float* gate;   ///< [rows]: the softmax's part in the probability, in [0, 1]
  const float* other;  ///< [rows]: the target's probability under the other distribution
  float* share;        ///< [rows], written: how much of the target's probability is the softmax's
};

/// cross_entropy with `corrections` added to every logit but the row's own target's: one for each class, or none.
Loss corrected_cross_entropy(const Var& hidden, const Var& weight, const Var& bias,
                             std::span<const std::int32_t> targets, float label_smoothing,
                             std::span<const float> row_weights, std::span<const float> corrections,
                             const Mixture* mixture = nullptr);

}  // namespace heed
