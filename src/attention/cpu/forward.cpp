#include "attention/cpu/key_chunk.h"

// Attention forward over chunks of keys with a running maximum and sum: Milakov & Gimelshein 2018 (arXiv:1805.02867),
// Rabe & Staats 2021 (arXiv:2112.05682), Dao et al. 2022 (arXiv:2205.14135). The keys of a chunk are packed into panels
// once for all queries of the piece; then a few queries at a time are scored against the whole chunk, so that their
// scores stay in the first level of the cache between the two products.
namespace heed::HEED_ISA {

namespace {

/// Queries that are worked on together.
struct Group {
  int first, rows;  ///< counted from the piece's first
  float rescale[16];
};

template <class Units>
class Piece {
 public:
  Piece(const Head& head, std::int64_t begin, int count, const attention::Ahead& ahead, attention::Scratch scratch)
      : head_(head),
        begin_(begin),
        count_(count),
        sums_stride_(padded(head.value_width)),
        chunk_(head, begin, count, scratch),
        ahead_(ahead, (count + group_rows - 1) / group_rows) {
    scores_ = scratch.take(group_rows * key_chunk);
    weights_ = Units::elements == 1 ? scores_ : scratch.take(group_rows * key_chunk / 2);
    sums_ = scratch.take(count * sums_stride_);
    maximum_ = scratch.take(padded(count));
    sum_ = scratch.take(padded(count));
  }

  void run() {
    start();
    const std::int64_t position = head_.position + begin_;
    const Range range = all_keys_seen(head_, position, position + count_ - 1);
    const int most = attention::keys_at_once(head_.width + head_.value_width);
    for (std::int64_t at = range.begin; at < range.end; at += most) {
      const int keys = static_cast<int>(smaller(most, range.end - at));
      const Sight sight(head_, true, position, count_, at, keys);
      if (!sight.nothing()) chunk(at, keys, sight);
    }
    write();
  }

 private:
  void start() {
    const bool sink = head_.normaliser == Normaliser::softmax_zero || head_.normaliser == Normaliser::softmax_sink;
    const F maximum = set1(sink ? head_.sink * log2_e : -infinity), sum = set1(sink ? 1.0f : 0.0f);
    for (int i = 0; i < count_; i += lanes) {
      store(maximum_ + i, maximum);
      store(sum_ + i, sum);
    }
    first_ = true;
  }

  void chunk(std::int64_t at, int keys, const Sight& sight) {
    chunk_.pack_keys(at, keys);
    const Panel values = chunk_.pack_values();
    for (int row = 0; row < count_; row += group_rows) {
      Group group{row, static_cast<int>(smaller(group_rows, count_ - row)), {}};
      const Runs runs = sight.runs(row, group.rows);
      if (runs.count == 0 && !first_) continue;
      chunk_.score(row, group.rows, sight, runs, scores_, key_chunk);
      weigh(group, runs, at);
      ahead_.some();
      sum_up(group, runs, values);
    }
    first_ = false;
  }

  /// Scores become weights relative to the new maximum; running sums are brought to it.
  void weigh(Group& group, const Runs& runs, std::int64_t at) {
    const F factor = set1(factor_of(head_));
    if (head_.normaliser == Normaliser::sigmoid) {
      for (int r = 0; r < group.rows; ++r) sigmoid_row(scores_ + r * key_chunk, runs, factor);
    } else {
      float shift[16], before[16];
      for (int r = 0; r < group.rows; ++r) {
        float& maximum = maximum_[group.first + r];
        before[r] = maximum;
        maximum = row_maximum(scores_ + r * key_chunk, runs, factor, maximum);
        shift[r] = maximum == -infinity ? 0.0f : maximum;
      }
      for (int r = group.rows; r < 16; ++r) before[r] = shift[r] = 0.0f;
      for (int r = 0; r < group.rows; r += lanes) store(group.rescale + r, exp2(load(before + r) - load(shift + r)));
      for (int r = 0; r < group.rows; ++r) {
        float& sum = sum_[group.first + r];
        sum = sum * group.rescale[r] + exponentials(scores_ + r * key_chunk, halves(r), runs, factor, set1(shift[r]));
      }
      if (head_.drop_below == 0) return;
    }
    for (int r = 0; r < group.rows && head_.drop_below != 0; ++r)
      drop(scores_ + r * key_chunk, runs, begin_ + group.first + r, at);
    if constexpr (Units::elements == 2)
      for (int r = 0; r < group.rows; ++r)
        for (int i = 0; i < runs.count; ++i)
          for (int c = runs.run[i].begin; c < runs.run[i].end; c += lanes)
            store_bfloat16(halves(r) + c, load(scores_ + r * key_chunk + c));
  }
  std::uint16_t* halves(int row) const { return reinterpret_cast<std::uint16_t*>(weights_ + row * key_chunk / 2); }

  static float row_maximum(const float* row, const Runs& runs, F factor, float before) {
    F part[4];
    for (F& one : part) one = set1(-infinity);
    for (int i = 0; i < runs.count; ++i) {
      int c = runs.run[i].begin;
      for (; c + 4 * lanes <= runs.run[i].end; c += 4 * lanes)
        for (int j = 0; j < 4; ++j) part[j] = max(load(row + c + j * lanes), part[j]);
      for (; c < runs.run[i].end; c += lanes) part[0] = max(load(row + c), part[0]);
    }
    const float most = reduce_max(max(max(part[0], part[1]), max(part[2], part[3])) * factor);
    return most > before ? most : before;
  }

  /// Weights in place; without dropout those of bfloat16 products go straight to where they are wanted.
  float exponentials(float* row, std::uint16_t* rounded, const Runs& runs, F factor, F shift) const {
    const bool in_place = Units::elements == 1 || head_.drop_below != 0;
    return in_place ? exponentials<true>(row, rounded, runs, factor, shift)
                    : exponentials<false>(row, rounded, runs, factor, shift);
  }
  template <bool in_place>
  static float exponentials(float* row, std::uint16_t* rounded, const Runs& runs, F factor, F shift) {
    F sum[2] = {zero(), zero()};
    for (int i = 0; i < runs.count; ++i) {
      const auto weigh = [&](int c, F& total) {
        const F weight = exp2_of_negative(fma(load(row + c), factor, -shift));
        total = total + weight;
        if constexpr (in_place)
          store(row + c, weight);
        else
          store_bfloat16(rounded + c, weight);
      };
      int c = runs.run[i].begin;
      for (; c + 2 * lanes <= runs.run[i].end; c += 2 * lanes) {
        weigh(c, sum[0]);
        weigh(c + lanes, sum[1]);
      }
      for (; c < runs.run[i].end; c += lanes) weigh(c, sum[0]);
    }
    return reduce_add(sum[0] + sum[1]);
  }

  static void sigmoid_row(float* row, const Runs& runs, F factor) {
    const F one = set1(1.0f), unit = set1(-log2_e) * factor;
    for (int i = 0; i < runs.count; ++i)
      for (int c = runs.run[i].begin; c < runs.run[i].end; c += lanes) {
        const F score = load(row + c);
        // −∞·0 aside, 2^+∞ is bounded by exp2: what is masked is 0 exactly.
        store(row + c, select(score == set1(-infinity), zero(), one / (one + exp2(score * unit))));
      }
  }

  void drop(float* row, const Runs& runs, std::int64_t query, std::int64_t at) const {
    const std::uint32_t draw = static_cast<std::uint32_t>(query) * query_step + static_cast<std::uint32_t>(at);
    for (int i = 0; i < runs.count; ++i)
      for (int c = runs.run[i].begin; c < runs.run[i].end; c += lanes) {
        const I stay = stays(head_, set1_uint(draw + static_cast<std::uint32_t>(c)) + iota());
        store(row + c, select(stay, load(row + c), zero()));
      }
  }

  void sum_up(const Group& group, const Runs& runs, Panel values) {
    float* const sums = sums_ + group.first * sums_stride_;
    bool add = !first_;
    if (add && head_.normaliser != Normaliser::sigmoid)
      for (int r = 0; r < group.rows; ++r) {
        if (group.rescale[r] == 1.0f) continue;
        for (std::int64_t i = 0; i < sums_stride_; i += lanes)
          store(sums + r * sums_stride_ + i, load(sums + r * sums_stride_ + i) * set1(group.rescale[r]));
      }
    const int width = whole_vectors(head_.value_width);
    for (int i = 0; i < runs.count; ++i) {
      const Runs::Run& run = runs.run[i];
      const int from = run.first / Units::elements, to = units_of<Units>(run.last);
      multiply<Units>(group.rows, width, to - from, {weights_ + from, key_chunk / Units::elements, 1},
                      {values.data + from * values.stride, values.stride}, sums, sums_stride_, add);
      add = true;
    }
    if (!add)
      for (std::int64_t i = 0; i < group.rows * sums_stride_; i += lanes) store(sums + i, zero());
  }

  void write() {
    if (first_)
      for (std::int64_t i = 0; i < count_ * sums_stride_; i += lanes) store(sums_ + i, zero());
    const bool sigmoid = head_.normaliser == Normaliser::sigmoid;
    for (int query = 0; query < count_; ++query) {
      const float sum = sigmoid ? 1.0f : sum_[query];
      write_row(head_, begin_ + query, sums_ + query * sums_stride_, sum > 0.0f ? 1.0f / (sum * head_.kept) : sum);
    }
    if (!head_.log_sum_exp) return;
    for (int i = 0; i < count_; i += lanes) {
      const F sum = load(sum_ + i);
      F value = select(sum > zero(), fma(load(maximum_ + i), set1(ln_2), log(sum)), set1(-infinity));
      value = select(sum != sum, sum, value);
      store(head_.log_sum_exp + begin_ + i, sigmoid ? zero() : value, tail_of(count_ - i));
    }
  }

  const Head& head_;
  std::int64_t begin_;
  int count_;
  std::int64_t sums_stride_;
  KeyChunk<Units> chunk_;
  Fetch ahead_;
  float *scores_, *weights_, *sums_, *maximum_, *sum_;
  bool first_ = true;
};

void forward(const Head& head, std::int64_t begin, int count, const attention::Ahead& ahead) {
#if defined(HEED_ISA_IS_avx512_bf16)
  if (head.all_bfloat16())
    return Piece<BFloat16Units>(head, begin, count, ahead, attention::Scratch(head.scratch)).run();
#endif
  Piece<Float32Units>(head, begin, count, ahead, attention::Scratch(head.scratch)).run();
}

}  // namespace

extern const attention::Forward attention_forward_kernel;
const attention::Forward attention_forward_kernel = {forward};

}  // namespace heed::HEED_ISA
