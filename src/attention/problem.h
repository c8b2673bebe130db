#pragma once
#include <heed/attention.h>

#include <cmath>

#include "attention/cpu/task.h"

namespace heed::attention {

/// Throws Error when widths, heads, types or spans do not fit together.
void check(const AttentionProblem& problem);
void check_forward(const AttentionProblem& problem, const View& output);
void check_backward(const AttentionProblem& problem, const View& output, const float* log_sum_exp, const View& doutput,
                    const AttentionGradients& gradients);

/// Integers that their spans' scales multiply; int4 is stored as DType::q4 says: two a byte.
inline bool is_quantised(DType dtype) { return dtype == DType::int8 || dtype == DType::q4; }

/// The prefix that a sequence begins with, or null.
const SharedPrefix* prefix_of(const AttentionProblem& problem, std::size_t sequence);
/// A sequence's keys with those of its prefix.
std::int64_t key_count_of(const AttentionProblem& problem, std::size_t sequence);

/// The width of a head's keys.
inline std::int64_t key_width_of(const AttentionProblem& problem) {
  return problem.spec.score == Score::bilinear && problem.key_width != 0 ? problem.key_width : problem.head_width;
}
/// What the raw score is multiplied by.
inline float scale_of(const AttentionProblem& problem) {
  const bool scaled = problem.spec.score == Score::scaled_dot;
  return problem.spec.scale.value_or(scaled ? 1.0f / std::sqrt(static_cast<float>(problem.head_width)) : 1.0f);
}

/// Dropout drops a weight when its 32 random bits are below this.
inline std::uint32_t drop_below(float dropout) {
  return static_cast<std::uint32_t>(static_cast<double>(dropout) * 0x1p32);
}
inline RandomKey drop_key(const AttentionProblem& problem, std::size_t sequence, int head) {
  return problem.dropout_key.fold(sequence).fold(static_cast<std::uint64_t>(head));
}
/// The random bits of one weight: `query` counts from the sequence's first in this call.
inline std::uint32_t drop_bits(RandomKey key, std::int64_t query, std::int64_t key_position) {
  return hash32(key, static_cast<std::uint32_t>(query) * 0x9e3779b1u + static_cast<std::uint32_t>(key_position));
}

}  // namespace heed::attention
