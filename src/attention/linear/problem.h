#pragma once
#include <heed/linear_attention.h>

#include <cmath>

namespace heed::attention::linear {

inline bool decays(UpdateRule rule) { return rule == UpdateRule::gated || rule == UpdateRule::gated_delta; }
inline bool corrects(UpdateRule rule) { return rule == UpdateRule::delta || rule == UpdateRule::gated_delta; }

inline float scale_of(const LinearAttentionProblem& problem) {
  return problem.scale.value_or(1.0f / std::sqrt(static_cast<float>(problem.key_width)));
}
/// Elements of one head's state.
inline std::int64_t state_size(const LinearAttentionProblem& problem) {
  return std::int64_t{problem.key_width} * problem.value_width;
}
/// Decays of one head in a row: 1 or key_width.
inline std::int64_t decay_width(const LinearAttentionProblem& problem) {
  return problem.decay.width / problem.key_value_heads;
}

/// Throw Error when widths, heads, types or rows do not fit together.
void check(const LinearAttentionProblem& problem, const View& output);
void check(const LinearAttentionProblem& problem, const View& doutput, const LinearAttentionGradients& gradients);

}  // namespace heed::attention::linear
