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

/// Up to `lanes` elements, `stride` apart.
HEED_INLINE F load_apart(const float* from, std::int64_t stride, int count) {
  if (stride == 1) return count == lanes ? load(from) : load(from, count);
  if (stride == 0) return set1(*from);
  F value = zero();
  for (int i = 0; i < count; ++i) value[i] = from[i * stride];
  return value;
}

/// score·factor, capped, with every bias; derivative (or null) receives the soft cap's.
template <bool cap, bool slope, bool others>
static void adjust_run(const Strip& strip, const Runs::Run& run, float factor, float unit, float* scores,
                       float* derivative, const float* line) {
  const Head& head = strip.head;
  const F cap_unit = set1(head.soft_cap * unit), steep = set1(-head.slope * unit), one = set1(1.0f);
  for (int r = 0; r < strip.rows; ++r) {
    float* const row = scores + r * strip.stride;
    F distance = __builtin_convertvector(
        (I)iota() + set1_int(static_cast<std::int32_t>(strip.lane_position() + run.begin - strip.row_position() - r)),
        F);
    const float* const bias =
        head.bias ? head.bias + (strip.row + r) * strip.row_stride() + strip.lane * strip.lane_stride() : nullptr;
    for (int i = run.begin; i < run.end; i += lanes) {
      F score = load(row + i) * set1(factor);
      if constexpr (cap) {
        const F bent = tanh(score);
        if (derivative) store(derivative + r * strip.stride + i, one - bent * bent);
        score = bent * cap_unit;
      }
      if constexpr (slope) {
        score = fma(absolute(distance), steep, score);
        distance = distance + set1(static_cast<float>(lanes));
      }
      if constexpr (others) {
        if (line) score = fma(load(line + strip.rows - 1 - r + i), set1(unit), score);
        if (bias)
          score = fma(load_apart(bias + i * strip.lane_stride(), strip.lane_stride(), tail_of(strip.columns - i)),
                      set1(unit), score);
      }
      store(row + i, score);
    }
  }
}

using AdjustRun = void (*)(const Strip&, const Runs::Run&, float, float, float*, float*, const float*);
static AdjustRun adjust_run_for(bool cap, bool slope, bool others) {
  if (cap)
    return slope    ? others ? adjust_run<true, true, true> : adjust_run<true, true, false>
              : others ? adjust_run<true, false, true>
                    : adjust_run<true, false, false>;
  return slope    ? others ? adjust_run<false, true, true> : adjust_run<false, true, false>
            : others ? adjust_run<false, false, true>
                  : adjust_run<false, false, false>;
}

/// score·scale + the terms of its query and key.
static void add_terms(const Strip& strip, const Runs::Run& run, float* scores) {
  const F scale = set1(strip.head.scale);
  for (int r = 0; r < strip.rows; ++r) {
    const F own = set1(strip.row_term()[strip.row + r]);
    for (int i = run.begin; i < run.end; i += lanes) {
      float* const at = scores + r * strip.stride + i;
      store(at, fma(load(at), scale, own) + load(strip.lane_term() + strip.lane + i, tail_of(strip.columns - i)));
    }
  }
}

static void apply_rule(const Strip& strip, const Runs::Run& run, float* scratch, float* scores, float* derivative,
                       bool capped) {
  const Head& head = strip.head;
  const attention::Strip part{head.batch,
                              head.number,
                              strip.row_position(),
                              strip.lane_position() + run.begin,
                              strip.lanes_are_keys,
                              strip.rows,
                              run.end - run.begin,
                              strip.stride,
                              scratch};
  if (!derivative || !capped) {
    head.rules->score(*head.program, part, scores + run.begin, derivative ? derivative + run.begin : nullptr);
    return;
  }
  // The chain rule: the cap's derivative is kept aside while the rule writes its own over it.
  for (int r = 0; r < strip.rows; ++r) {
    attention::Strip one = part;
    one.row += r;
    one.rows = 1;
    float* const outer = derivative + r * strip.stride + run.begin;
    float inner[attention::longest_strip];
    for (int i = 0; i < one.columns; i += lanes) store(inner + i, load(outer + i));
    head.rules->score(*head.program, one, scores + r * strip.stride + run.begin, outer);
    for (int i = 0; i < one.columns; i += lanes) store(outer + i, load(outer + i) * load(inner + i));
  }
}

/// Scratch of adjust: the line of relative biases, and what rules need.
struct AdjustScratch {
  float* line;  ///< longest_strip + group_rows + lanes floats
  float* rule;
  float* capped;  ///< scores as the rule sees them, or null: not wanted
};

/// Raw scores become what is normalised, in base 2 for softmax. Nothing is done where head.adjusts() is false but mask.
/// derivative (or null, or unused without cap and rule) receives d score / d scaled product.
static void adjust(const Strip& strip, const Sight& sight, const Runs& runs, int first_row, float* scores,
                   float* derivative, const AdjustScratch& scratch) {
  const Head& head = strip.head;
  if (head.adjusts()) {
    const float unit = unit_of(head);
    const bool cap = head.soft_cap != 0.0f;
    float factor = head.scale;
    if (head.key_term) {
      for (int i = 0; i < runs.count; ++i) add_terms(strip, runs.run[i], scores);
      factor = 1.0f;
    }
    if (cap) factor /= head.soft_cap;
    if (head.has_rule()) {
      const AdjustRun before = adjust_run_for(cap, false, false);
      for (int i = 0; i < runs.count; ++i) {
        const Runs::Run& run = runs.run[i];
        if (cap || factor != 1.0f) before(strip, run, factor, 1.0f, scores, derivative, nullptr);
        for (int r = 0; scratch.capped && r < strip.rows; ++r)
          for (int c = run.begin; c < run.end; c += lanes)
            store(scratch.capped + r * strip.stride + c, load(scores + r * strip.stride + c));
        apply_rule(strip, run, scratch.rule, scores, derivative, cap);
      }
      factor = unit;
    } else if (!cap) {
      factor *= unit;
    }
    const float* line = nullptr;
    if (head.relative && runs.count > 0) {
      const int from = runs.run[0].begin, to = runs.run[runs.count - 1].end + strip.rows;
      for (int i = from; i < to; ++i) scratch.line[i] = head.relative[strip.place(i)];
      line = scratch.line;
    }
    const bool slope = head.slope != 0.0f, others = line || head.bias;
    if (!head.has_rule() || slope || others || factor != 1.0f) {
      const AdjustRun after = adjust_run_for(cap && !head.has_rule(), slope, others);
      for (int i = 0; i < runs.count; ++i)
        after(strip, runs.run[i], factor, unit, scores, head.has_rule() ? nullptr : derivative, line);
    }
  }
  for (int i = 0; i < runs.count; ++i) {
    const Runs::Run& run = runs.run[i];
    // What a vector holds beyond the keys or queries that exist, and what no row sees, is masked in any case.
    const bool edges = run.first > run.begin || run.last < run.end;
    if (!run.masked && !edges) continue;
    for (int r = 0; r < strip.rows; ++r) {
      float* const row = scores + r * strip.stride;
      std::int64_t from = run.first, to = run.last;
      if (run.masked && sight.one_band()) {
        const Range own = within(sight.row_range(first_row + r), run.first, run.last);
        from = own.begin;
        to = own.end;
      } else if (run.masked && head.bands) {
        sight.mask_bands(first_row + r, row, run);
      }
      for (std::int64_t c = run.begin; c < from; ++c) row[c] = -infinity;
      for (std::int64_t c = to; c < run.end; ++c) row[c] = -infinity;
    }
    if (run.masked && !head.bands) {
      const attention::Strip part{
          head.batch,           head.number, strip.row_position(), strip.lane_position() + run.begin,
          strip.lanes_are_keys, strip.rows,  run.last - run.begin, strip.stride,
          scratch.rule};
      head.rules->mask(*head.program, part, scores + run.begin);
    }
  }
}

}  // namespace heed::HEED_ISA
