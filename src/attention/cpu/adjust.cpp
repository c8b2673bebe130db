#include "attention/cpu/adjust.h"

namespace heed::HEED_ISA {

namespace {

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
void adjust_run(const Strip& strip, const Runs::Run& run, float factor, float unit, float* scores, float* derivative,
                const float* line) {
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
AdjustRun adjust_run_for(bool cap, bool slope, bool others) {
  if (cap)
    return slope    ? others ? adjust_run<true, true, true> : adjust_run<true, true, false>
              : others ? adjust_run<true, false, true>
                    : adjust_run<true, false, false>;
  return slope    ? others ? adjust_run<false, true, true> : adjust_run<false, true, false>
            : others ? adjust_run<false, false, true>
                  : adjust_run<false, false, false>;
}

/// score·scale + the terms of its query and key.
void add_terms(const Strip& strip, const Runs::Run& run, float* scores) {
  const F scale = set1(strip.head.scale);
  for (int r = 0; r < strip.rows; ++r) {
    const F own = set1(strip.row_term()[strip.row + r]);
    for (int i = run.begin; i < run.end; i += lanes) {
      float* const at = scores + r * strip.stride + i;
      store(at, fma(load(at), scale, own) + load(strip.lane_term() + strip.lane + i, tail_of(strip.columns - i)));
    }
  }
}

void apply_rule(const Strip& strip, const Runs::Run& run, const AdjustScratch& scratch, float* scores,
                float* derivative, bool capped) {
  const Head& head = strip.head;
  const attention::Strip part{
      head.batch,           head.number,   strip.row_position(), strip.lane_position() + run.begin,
      strip.lanes_are_keys, strip.rows,    run.end - run.begin,  strip.stride,
      scratch.rule,         scratch.memory};
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

}  // namespace

void adjust(const Strip& strip, const Sight& sight, const Runs& runs, int first_row, float* scores, float* derivative,
            const AdjustScratch& scratch) {
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
        apply_rule(strip, run, scratch, scores, derivative, cap);
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
          head.batch,           head.number,   strip.row_position(), strip.lane_position() + run.begin,
          strip.lanes_are_keys, strip.rows,    run.last - run.begin, strip.stride,
          scratch.rule,         scratch.memory};
      head.rules->mask(*head.program, part, scores + run.begin);
    }
  }
}

}  // namespace heed::HEED_ISA
