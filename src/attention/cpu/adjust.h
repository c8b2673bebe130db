#pragma once
// What becomes of raw scores before they are normalised: scale, soft cap, rule, biases, mask. Scores lie in strips,
// rows of queries with keys in lanes (the forward) or rows of keys with queries in lanes (the backward).
#include "attention/cpu/scratch.h"
#include "attention/cpu/sight.h"

namespace heed::HEED_ISA {

inline constexpr float log2_e = 1.44269504088896341f, ln_2 = 0.693147180559945309f;

/// Scores of softmax are kept in base 2.
HEED_INLINE float unit_of(const Head& head) { return head.normaliser <= Normaliser::softmax_sink ? log2_e : 1.0f; }

/// What the weighing pass multiplies scores by: where nothing else becomes of them, the scale; otherwise adjust has.
HEED_INLINE float factor_of(const Head& head) { return head.adjusts() ? 1.0f : head.scale * unit_of(head); }

HEED_INLINE U mixed(U x) {
  x = (x ^ (x >> 16)) * 0x7feb352du;
  x = (x ^ (x >> 15)) * 0x846ca68bu;
  return x ^ (x >> 16);
}
/// All ones where the weight of (query, key) stays: heed/random.h's hash32 of query·golden + key.
HEED_INLINE I stays(const Head& head, U index) {
  const U hash = mixed(mixed(index ^ set1_uint(head.drop_key_low)) + set1_uint(head.drop_key_high));
  return (I)(hash >= set1_uint(head.drop_below));
}
inline constexpr std::uint32_t query_step = 0x9e3779b1u;  // a prime near 2^32 over the golden ratio: few pairs collide

/// A strip of scores of one head. Indices count from the sequence's first query in this call, and its first key.
struct Strip {
  const Head& head;
  bool lanes_are_keys;
  std::int64_t row, lane;  ///< index of the first row and lane: of a query or key
  int rows, columns;       ///< columns: those that exist
  std::int64_t stride;

  std::int64_t row_position() const { return lanes_are_keys ? head.position + row : row; }
  std::int64_t lane_position() const { return lanes_are_keys ? lane : head.position + lane; }
  const float* row_term() const { return lanes_are_keys ? head.query_term : head.key_term; }
  const float* lane_term() const { return lanes_are_keys ? head.key_term : head.query_term; }
  std::int64_t row_stride() const { return lanes_are_keys ? head.bias_query_stride : head.bias_key_stride; }
  std::int64_t lane_stride() const { return lanes_are_keys ? head.bias_key_stride : head.bias_query_stride; }

  /// Along a strip the distance changes by one a lane and a row, so one line of relative biases serves all rows,
  /// shifted by one each: that of (row, lane) is line[rows − 1 − row + lane]. Where element i of it stands in the
  /// table:
  std::int64_t place(std::int64_t i) const {
    const std::int64_t end = row_position() + rows - 1 - lane_position();
    const std::int64_t distance = lanes_are_keys ? i - end : end - i;
    return smaller(larger(distance, -head.reach), head.reach) + head.reach;
  }
};

/// Scratch of adjust: the line of relative biases, and what rules need.
struct AdjustScratch {
  float* line;  ///< longest_strip + group_rows + lanes floats
  float* rule;
  float* capped;  ///< scores as the rule sees them, or null: not wanted
  attention::StripMemory* memory = nullptr;
};

/// Raw scores become what is normalised, in base 2 for softmax. Nothing is done where head.adjusts() is false but mask.
/// derivative (or null, or unused without cap and rule) receives d score / d scaled product.
void adjust(const Strip& strip, const Sight& sight, const Runs& runs, int first_row, float* scores, float* derivative,
            const AdjustScratch& scratch);

}  // namespace heed::HEED_ISA
