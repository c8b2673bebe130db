#include "attention/cpu/key_chunk.h"

// Rows of weights whole: for normalisers that need all scores of a query before they can weigh any (sparsemax, entmax),
// and for whoever wants to see weights. Some queries at a time, so that memory stays linear in keys.
namespace heed::HEED_ISA {

namespace {

/// τ with Σ max(s − τ, 0) = 1 (Martins & Astudillo 2016, arXiv:1602.02068, eq. 6). The sum is convex and falls in τ:
/// Newton's steps from below grow towards the solution and reach it once the support stays.
float sparsemax_threshold(const float* row, std::int64_t count, float maximum) {
  float threshold = maximum - 1.0f;
  for (int step = 0; step < 64; ++step) {
    F sum = zero(), size = zero();
    for (std::int64_t i = 0; i < count; i += lanes) {
      const F above = load(row + i) - set1(threshold);
      const I inside = above > zero();
      sum = sum + select(inside, above, zero());
      size = size + select(inside, set1(1.0f), zero());
    }
    const float next = threshold + (reduce_add(sum) - 1.0f) / reduce_add(size);
    if (!(next > threshold)) return next;
    threshold = next;
  }
  return threshold;
}

/// τ with Σ max(s/2 − τ, 0)² = 1 (Peters et al. 2019, arXiv:1905.05702, eq. 13), the same way; the sum is convex again.
float entmax15_threshold(const float* row, std::int64_t count, float maximum) {
  float threshold = 0.5f * maximum - 1.0f;
  for (int step = 0; step < 64; ++step) {
    F squares = zero(), sum = zero();
    for (std::int64_t i = 0; i < count; i += lanes) {
      const F above = max(fma(load(row + i), set1(0.5f), set1(-threshold)), zero());
      squares = fma(above, above, squares);
      sum = sum + above;
    }
    const float next = threshold + 0.5f * (reduce_add(squares) - 1.0f) / reduce_add(sum);
    if (!(next > threshold)) return next;
    threshold = next;
  }
  return threshold;
}

template <class Units>
class WholeRows {
 public:
  WholeRows(const Head& head, std::int64_t begin, int count, attention::Scratch scratch)
      : head_(head), begin_(begin), count_(count), stride_(padded(head.keys)), chunk_(head, begin, count, scratch) {
    rows_ = scratch.take(count * stride_);
    rounded_ = Units::elements == 1 ? nullptr : scratch.take(group_rows * key_chunk / 2);
    sums_ = scratch.take(count * padded(head.value_width));
  }

  void attend() {
    score();
    weigh();
    for (std::int64_t i = 0; i < count_ * padded(head_.value_width); i += lanes) store(sums_ + i, zero());
    each_chunk([&](std::int64_t at, int keys, const Sight& sight) {
      const Panel values = chunk_.pack_values(at, keys);
      for (int row = 0; row < count_; row += group_rows) sum_up(row, at, sight.runs(row, rows_of(row)), values);
    });
    for (int row = 0; row < count_; ++row)
      write_row(head_, begin_ + row, sums_ + row * padded(head_.value_width), 1.0f / head_.kept);
  }

  /// The weights themselves, before dropout, or (with `raw`) the scores.
  void show(float* weights, std::int64_t stride, bool raw) {
    score();
    if (!raw) weigh();
    const F unit = set1(raw ? 1.0f / unit_of(head_) * factor_of(head_) : 1.0f);
    for (int row = 0; row < count_; ++row)
      for (std::int64_t i = 0; i < head_.keys; i += lanes)
        store(weights + row * stride + i, load(rows_ + row * stride_ + i) * unit, tail_of(head_.keys - i));
  }

 private:
  int rows_of(int row) const { return static_cast<int>(smaller(group_rows, count_ - row)); }

  template <class Function>
  HEED_INLINE void each_chunk(Function f) const {
    const std::int64_t position = head_.position + begin_;
    const Range range = all_keys_seen(head_, position, position + count_ - 1);
    const int most = attention::keys_at_once(head_.width + head_.value_width);
    for (std::int64_t at = range.begin / lanes * lanes; at < range.end; at += most) {
      const int keys = static_cast<int>(smaller(most, range.end - at));
      const Sight sight(head_, true, position, count_, at, keys);
      if (!sight.nothing()) f(at, keys, sight);
    }
  }

  void score() {
    for (std::int64_t i = 0; i < count_ * stride_; i += lanes) store(rows_ + i, set1(-infinity));
    each_chunk([&](std::int64_t at, int keys, const Sight& sight) {
      chunk_.pack_keys(at, keys);
      for (int row = 0; row < count_; row += group_rows) {
        const Runs runs = sight.runs(row, rows_of(row));
        if (runs.count > 0) chunk_.score(row, rows_of(row), sight, runs, rows_ + row * stride_ + at, stride_);
      }
    });
  }

  void weigh() {
    for (int row = 0; row < count_; ++row) {
      float* const scores = rows_ + row * stride_;
      const float factor = factor_of(head_);
      F most = set1(-infinity), nan = zero();
      for (std::int64_t i = 0; i < stride_; i += lanes) {
        const F score = load(scores + i) * set1(factor);
        store(scores + i, score);
        most = max(score, most);
        nan = select(score != score, score, nan);
      }
      const float invalid = reduce_add(nan), maximum = reduce_max(most);
      float statistic = invalid != invalid ? invalid : infinity;  // of a query that sees no key: nothing is above it
      if (head_.normaliser == Normaliser::sigmoid || head_.normaliser <= Normaliser::softmax_sink)
        statistic = separate(scores, maximum);
      else if (maximum != -infinity && invalid == 0.0f)
        statistic = sparse(scores, maximum);
      else
        for (std::int64_t i = 0; i < stride_; i += lanes) store(scores + i, set1(invalid));
      if (head_.log_sum_exp) head_.log_sum_exp[begin_ + row] = statistic;
    }
  }

  float sparse(float* row, float maximum) const {
    const bool half = head_.normaliser == Normaliser::entmax15;
    const float threshold =
        half ? entmax15_threshold(row, stride_, maximum) : sparsemax_threshold(row, stride_, maximum);
    for (std::int64_t i = 0; i < stride_; i += lanes) {
      const F above = max(fma(load(row + i), set1(half ? 0.5f : 1.0f), set1(-threshold)), zero());
      store(row + i, half ? above * above : above);
    }
    return threshold;
  }

  /// Softmax and sigmoid, for those who want to see the weights.
  float separate(float* row, float maximum) const {
    if (head_.normaliser == Normaliser::sigmoid) {
      for (std::int64_t i = 0; i < stride_; i += lanes) {
        const F score = load(row + i);
        store(row + i,
              select(score == set1(-infinity), zero(), set1(1.0f) / (set1(1.0f) + exp2(score * set1(-log2_e)))));
      }
      return 0.0f;
    }
    const bool sink = head_.normaliser != Normaliser::softmax;
    const float logit = head_.sink * log2_e;
    if (sink && logit > maximum) maximum = logit;
    const float shift = maximum == -infinity ? 0.0f : maximum;
    F total = zero();
    for (std::int64_t i = 0; i < stride_; i += lanes) {
      const F weight = exp2_of_negative(load(row + i) - set1(shift));
      total = total + weight;
      store(row + i, weight);
    }
    const float sum = reduce_add(total) + (sink ? exp2(set1(logit - shift))[0] : 0.0f);
    const F inverse = set1(sum > 0.0f ? 1.0f / sum : sum);
    for (std::int64_t i = 0; i < stride_; i += lanes) store(row + i, load(row + i) * inverse);
    return sum > 0.0f ? fma(set1(shift), set1(ln_2), log(set1(sum)))[0] : -infinity;
  }

  void sum_up(int row, std::int64_t at, const Runs& runs, Panel values) {
    const int rows = rows_of(row), width = whole_vectors(head_.value_width);
    for (int r = 0; r < rows && head_.drop_below != 0; ++r) {
      const std::uint32_t draw =
          static_cast<std::uint32_t>(begin_ + row + r) * query_step + static_cast<std::uint32_t>(at);
      for (int i = 0; i < runs.count; ++i)
        for (int c = runs.run[i].begin; c < runs.run[i].end; c += lanes) {
          float* const weight = rows_ + (row + r) * stride_ + at + c;
          const I stay = stays(head_, set1_uint(draw + static_cast<std::uint32_t>(c)) + iota());
          store(weight, select(stay, load(weight), zero()));
        }
    }
    for (int i = 0; i < runs.count; ++i) {
      const Runs::Run& run = runs.run[i];
      const int from = run.first / Units::elements, to = units_of<Units>(run.last);
      Factor weights{rows_ + row * stride_ + at + run.first, stride_, 1};
      if constexpr (Units::elements == 2) {
        for (int r = 0; r < rows; ++r)
          for (int c = run.begin; c < run.end; c += lanes)
            store_bfloat16(reinterpret_cast<std::uint16_t*>(rounded_ + r * key_chunk / 2) + c,
                           load(rows_ + (row + r) * stride_ + at + c));
        weights = {rounded_ + from, key_chunk / 2, 1};
      }
      multiply<Units>(rows, width, to - from, weights, {values.data + from * values.stride, values.stride},
                      sums_ + row * padded(head_.value_width), padded(head_.value_width), true);
    }
  }

  const Head& head_;
  std::int64_t begin_;
  int count_;
  std::int64_t stride_;
  KeyChunk<Units> chunk_;
  float *rows_, *rounded_, *sums_;
};

template <class Function>
void with_units(const Head& head, std::int64_t begin, int count, Function f) {
  const attention::Scratch scratch(head.scratch);
#if defined(HEED_ISA_IS_avx512_bf16)
  if (head.all_bfloat16()) {
    WholeRows<BFloat16Units> rows(head, begin, count, scratch);
    return f(rows);
  }
#endif
  WholeRows<Float32Units> rows(head, begin, count, scratch);
  f(rows);
}

void attend(const Head& head, std::int64_t begin, int count) {
  with_units(head, begin, count, [](auto& rows) { rows.attend(); });
}

void show(const Head& head, std::int64_t begin, int count, float* weights, std::int64_t stride, bool raw) {
  with_units(head, begin, count, [&](auto& rows) { rows.show(weights, stride, raw); });
}

}  // namespace

extern const attention::WholeRows attention_whole_rows_kernel;
const attention::WholeRows attention_whole_rows_kernel = {attend, show};

}  // namespace heed::HEED_ISA
