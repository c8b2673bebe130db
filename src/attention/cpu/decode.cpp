#include "attention/cpu/decode.h"

#include "attention/cpu/adjust.h"
#include "attention/cpu/decode_rows.h"

// Few queries against many keys: the time is that of reading them, so each is read once, for all queries and all heads
// that share it, in the order in which it lies in memory. Parts of the keys give partial softmaxes, which are joined in
// order (split keys: Dao et al. 2023, "Flash-Decoding").
namespace heed::HEED_ISA {

namespace {

using attention::Decoding;

// Memory is asked for in the order in which it lies, some way ahead; a few rows, once they have come, are read head by
// head. Both together are less than a first-level cache holds.
inline constexpr std::int64_t lead = 16384, tile_bytes = 16384;

static_assert(sizeof(Runs) <= attention::run_floats * sizeof(float));

/// Some keys, and which of them each head looks at.
struct Block {
  std::int64_t begin;
  int count;
  std::uint32_t any;      ///< granules that some head looks at
  std::uint32_t* needed;  ///< [key_value_heads]: those of each
  int *first, *last;      ///< [key_value_heads]: keys from the first to behind the last
  Runs* runs;             ///< [looks]
  const char** key;       ///< rows
  const char** value;
  float *key_scale, *value_scale;  ///< [key_value_heads, decode_block]
};

class Part {
 public:
  Part(const Decoding& decoding, std::int64_t begin, std::int64_t end, float* memory, float* partial)
      : decoding_(decoding),
        head_(decoding.heads[0]),
        end_(end),
        next_(begin),
        partial_(partial),
        partial_stride_(attention::partial_floats(head_.value_width)),
        most_(attention::decode_block_of(decoding)),
        score_stride_(most_ + lanes),
        query_stride_((head_.width + 31) / 32 * 32),
        // Bands are the same for every head of a sequence.
        looks_(head_.bands ? decoding.members : decoding.key_value_heads * decoding.members) {
    attention::Scratch scratch(memory);
    const std::int64_t key_heads = decoding.key_value_heads, rows = key_heads * decoding.rows;
    queries_ = scratch.take(rows * query_stride_);
    scores_ = scratch.take(rows * score_stride_);
    for (Block& block : blocks_) {
      block.needed = reinterpret_cast<std::uint32_t*>(scratch.take(key_heads));
      block.first = reinterpret_cast<int*>(scratch.take(key_heads));
      block.last = reinterpret_cast<int*>(scratch.take(key_heads));
      block.runs = reinterpret_cast<Runs*>(scratch.take(looks_ * attention::run_floats));
      block.key = reinterpret_cast<const char**>(scratch.take(2 * most_));
      block.value = reinterpret_cast<const char**>(scratch.take(2 * most_));
      block.key_scale = is_quantised(head_.key_type) ? scratch.take(key_heads * most_) : nullptr;
      block.value_scale = is_quantised(head_.value_type) ? scratch.take(key_heads * most_) : nullptr;
    }
    adjust_ = {scratch.take(attention::key_chunk + 64), scratch.take(head_.rule_scratch()), nullptr};
    span_ = head_.spans;
    span_begin_ = 0;
    score_ = HEED_PRODUCT_OF(score_rows, head_.key_type);
    sum_ = HEED_PRODUCT_OF(sum_rows, head_.value_type);
  }

  void run() {
    start();
    Block *block = &blocks_[0], *next = &blocks_[1];
    if (!stage(*block)) return;
    stream_.begin(block->key, block->count, block->any, key_bytes());
    stream_.ask(static_cast<int>(larger(lead, score_tile() * key_bytes()) / 64));
    for (bool more = true; more;) {
      more = stage(*next);
      score(*block);
      weigh(*block);
      sum(*block, more ? next : nullptr);
      Block* const done = block;
      block = next;
      next = done;
    }
  }

 private:
  std::int64_t key_bytes() const {
    return std::int64_t{decoding_.key_value_heads} * head_.width * bits_of(head_.key_type) / 8;
  }
  std::int64_t value_bytes() const {
    return std::int64_t{decoding_.key_value_heads} * head_.value_width * bits_of(head_.value_type) / 8;
  }
  float* row_of(int key_value_head, int row) const {
    return partial_ + (std::int64_t{key_value_head} * decoding_.rows + row) * partial_stride_;
  }
  float* scores_of(int key_value_head, int row) const {
    return scores_ + (std::int64_t{key_value_head} * decoding_.rows + row) * score_stride_;
  }

  /// f(head, its first row, key-value head, number of its look).
  template <class Function>
  HEED_INLINE void each_head(Function f) const {
    for (int h = 0; h < decoding_.key_value_heads; ++h)
      for (int m = 0, row = 0; m < decoding_.members; ++m) {
        const Head& head = decoding_.heads[h * decoding_.members + m];
        f(head, row, h, head_.bands ? m : h * decoding_.members + m);
        row += static_cast<int>(head.queries);
      }
  }

  void start() {
    const bool is_split_type = is_split(head_.key_type);
    float* to = queries_;
    each_head([&](const Head& head, int, int, int) {
      for (std::int64_t i = 0; i < head.queries; ++i, to += query_stride_)
        with_type(head.query_type, head.query, [&](auto* from) {
          for (int c = 0; c < head.width; c += pair) {
            const int left = head.width - c, low = left < lanes ? left : lanes;
            const int high = left - low < lanes ? left - low : lanes;
            const auto* const at = from + i * head.query_stride + c;
            const Pair natural = {load_floats(at, low), high > 0 ? load_floats(at + lanes, high) : zero()};
            const Pair elements = is_split_type ? split(natural) : natural;
            store(to + c, elements.first);
            store(to + c + lanes, elements.second);
          }
        });
    });
    for (int row = 0; row < decoding_.key_value_heads * decoding_.rows; ++row) {
      float* const sums = row_of(0, row);
      for (int i = 0; i < partial_stride_; i += lanes) store(sums + i, zero());
      sums[partial_stride_ - 16] = -infinity;
    }
  }

  /// The next block that some head looks into; false: there is none.
  bool stage(Block& block) {
    while (next_ < end_) {
      block.begin = next_;
      block.count = static_cast<int>(smaller(most_, end_ - next_));
      next_ += block.count;
      look(block);
      if (block.any == 0) continue;
      point(block);
      return true;
    }
    return false;
  }

  void look(Block& block) const {
    block.any = 0;
    for (int h = 0; h < decoding_.key_value_heads; ++h) {
      if (h > 0 && head_.bands) {
        block.needed[h] = block.needed[0];
        block.first[h] = block.first[0];
        block.last[h] = block.last[0];
        continue;
      }
      block.needed[h] = 0;
      block.first[h] = block.count;
      block.last[h] = 0;
      for (int m = 0; m < decoding_.members; ++m) {
        const int number = h * decoding_.members + m;
        const Head& head = decoding_.heads[number];
        const int queries = static_cast<int>(head.queries);
        const Sight sight(head, true, head.position, queries, block.begin, block.count);
        Runs& runs = block.runs[number];
        runs = sight.runs(0, queries);
        for (int i = 0; i < runs.count; ++i) {
          const Runs::Run& run = runs.run[i];
          if (run.first < block.first[h]) block.first[h] = run.first;
          if (run.last > block.last[h]) block.last[h] = run.last;
          for (int g = run.first / granule; g * granule < run.last; ++g) block.needed[h] |= std::uint32_t{1} << g;
        }
      }
      block.any |= block.needed[h];
    }
  }

  void point(const Block& block) {
    while (block.begin >= span_begin_ + span_->count) span_begin_ += (span_++)->count;
    const std::int64_t key_stride = head_.key_stride * bits_of(head_.key_type) / 8;
    const std::int64_t value_stride = head_.value_stride * bits_of(head_.value_type) / 8;
    const KeyValueSpan* span = span_;
    std::int64_t row = block.begin - span_begin_;
    for (int done = 0; done < block.count; ++span, row = 0) {
      const int count = static_cast<int>(smaller(span->count - row, block.count - done));
      const char* key = static_cast<const char*>(span->key) + row * key_stride;
      const char* value = static_cast<const char*>(span->value) + row * value_stride;
      for (int i = done; i < done + count; ++i, key += key_stride, value += value_stride) {
        block.key[i] = key;
        block.value[i] = value;
      }
      if (block.key_scale) copy_scales(span->key_scale, row, count, block.key_scale + done);
      if (block.value_scale) copy_scales(span->value_scale, row, count, block.value_scale + done);
      done += count;
    }
  }
  void copy_scales(const float* scales, std::int64_t row, int count, float* to) const {
    const std::int64_t heads = decoding_.key_value_heads;
    const float* const from = scales + row * heads;
    for (std::int64_t h = 0; h < heads; ++h)
      for (int i = 0; i < count; ++i) to[h * most_ + i] = from[i * heads + h];
  }

  /// Rows of `bytes` that are read head by head: so few that they lie in the first-level cache by then, unless that is
  /// less than a product takes at once.
  int tile_of(std::int64_t bytes, int at_once) const {
    const std::int64_t few = larger(tile_bytes / bytes / 4 * 4, 4);
    return static_cast<int>(smaller(at_once * bytes <= 4 * tile_bytes ? larger(few, at_once) : few, most_));
  }
  int score_tile() const { return tile_of(key_bytes(), decoding_.rows >= 4 ? 4 : decoding_.rows >= 2 ? 8 : 16); }

  void score(const Block& block) {
    const int tile = score_tile();
    for (int at = 0; at < block.count; at += tile)
      for (int h = 0; h < decoding_.key_value_heads; ++h)
        each_needed(block, h, at, at + tile, [&](int from, int to) {
          const Rowwise rows{queries_ + std::int64_t{h} * decoding_.rows * query_stride_,
                             query_stride_,
                             decoding_.rows,
                             scores_of(h, 0) + from,
                             score_stride_,
                             std::int64_t{h} * head_.width * bits_of(head_.key_type) / 8,
                             head_.width,
                             block.key_scale ? block.key_scale + h * most_ + from : nullptr};
          score_(rows, block.key + from, to - from, stream_);
          if (stream_.finished() && !values_asked_) {
            values_asked_ = true;
            stream_.begin(block.value, block.count, block.any, value_bytes());
          }
        });
    if (!values_asked_) stream_.begin(block.value, block.count, block.any, value_bytes());
    values_asked_ = true;
  }

  /// f(from, to) for what a key-value head's rows look at of keys [at, end).
  template <class Function>
  HEED_INLINE static void each_needed(const Block& block, int h, int at, int end, Function f) {
    if (end > block.last[h]) end = block.last[h];
    for (int from = at > block.first[h] ? at : block.first[h]; from < end;) {
      int to = from;
      while (to < end && (block.needed[h] >> to / granule & 1) != 0) to = (to / granule + 1) * granule;
      if (to > end) to = end;
      if (to > from) f(from, to);
      from = to > from ? to : (from / granule + 1) * granule;
    }
  }

  void weigh(const Block& block) {
    each_head([&](const Head& head, int row, int h, int look) {
      const Runs& runs = block.runs[look];
      const int queries = static_cast<int>(head.queries);
      float* const scores = scores_of(h, row);
      if (head.adjusts() || masks(runs)) {
        const Sight sight(head, true, head.position, queries, block.begin, block.count);
        adjust({head, true, 0, block.begin, queries, block.count, score_stride_}, sight, runs, 0, scores, nullptr,
               adjust_);
      }
      for (int r = 0; r < queries; ++r) {
        float* const own = scores + r * score_stride_;
        weigh_row(head, runs, own, row_of(h, row + r));
        if (head.drop_below != 0) drop(head, r, runs, block.begin, own);
        if (block.value_scale) scale(own, runs, block.value_scale + h * most_);
        clear_between(runs, block.first[h], block.last[h], own);
      }
    });
  }

  /// Whether adjust has anything to hide.
  static bool masks(const Runs& runs) {
    for (int i = 0; i < runs.count; ++i) {
      const Runs::Run& run = runs.run[i];
      if (run.masked || run.first > run.begin || run.last < run.end) return true;
    }
    return false;
  }

  static void scale(float* row, const Runs& runs, const float* by) {
    for (int i = 0; i < runs.count; ++i)
      for (int c = runs.run[i].begin; c < runs.run[i].end; c += lanes) store(row + c, load(row + c) * load(by + c));
  }

  /// Keys that other heads look at have no weight here.
  static void clear_between(const Runs& runs, int first, int last, float* row) {
    int at = first;
    for (int i = 0; i <= runs.count; ++i) {
      const int end = i < runs.count ? runs.run[i].begin : last;
      for (; at < end; ++at) row[at] = 0.0f;
      if (i < runs.count && runs.run[i].end > at) at = runs.run[i].end;
    }
  }

  /// Scores become weights relative to the new maximum; the row's sums are brought to it.
  void weigh_row(const Head& head, const Runs& runs, float* row, float* partial) const {
    const F factor = set1(factor_of(head));
    if (head.normaliser == Normaliser::sigmoid) return sigmoid_row(row, runs, factor);
    float& maximum = partial[partial_stride_ - 16];
    float& sum = partial[partial_stride_ - 15];
    const float before = maximum;
    F most[2] = {set1(-infinity), set1(-infinity)};
    each_vector(runs, [&](int c, int chain) { most[chain] = max(load(row + c) * factor, most[chain]); });
    const float largest = reduce_max(max(most[0], most[1]));
    maximum = largest > before ? largest : before;
    const F shift = set1(maximum == -infinity ? 0.0f : maximum);
    F total[2] = {zero(), zero()};
    each_vector(runs, [&](int c, int chain) {
      const F weight = exp2_of_negative(fma(load(row + c), factor, -shift));
      total[chain] = total[chain] + weight;
      store(row + c, weight);
    });
    const F rescale = exp2(set1(before) - shift);
    sum = sum * rescale[0] + reduce_add(total[0] + total[1]);
    if (rescale[0] != 1.0f)
      for (int i = 0; i < partial_stride_ - 16; i += lanes) store(partial + i, load(partial + i) * rescale);
  }

  /// f(first column, 0 or 1 in turn): what is summed up by turns depends on itself half as often.
  template <class Function>
  HEED_INLINE static void each_vector(const Runs& runs, Function f) {
    for (int i = 0; i < runs.count; ++i) {
      int c = runs.run[i].begin;
      for (; c + 2 * lanes <= runs.run[i].end; c += 2 * lanes) {
        f(c, 0);
        f(c + lanes, 1);
      }
      if (c < runs.run[i].end) f(c, 0);
    }
  }

  static void drop(const Head& head, int query, const Runs& runs, std::int64_t begin, float* row) {
    const std::uint32_t draw = static_cast<std::uint32_t>(query) * query_step + static_cast<std::uint32_t>(begin);
    for (int i = 0; i < runs.count; ++i)
      for (int c = runs.run[i].begin; c < runs.run[i].end; c += lanes) {
        const I stay = stays(head, set1_uint(draw + static_cast<std::uint32_t>(c)) + iota());
        store(row + c, select(stay, load(row + c), zero()));
      }
  }

  static void sigmoid_row(float* row, const Runs& runs, F factor) {
    const F one = set1(1.0f), unit = set1(-log2_e) * factor;
    for (int i = 0; i < runs.count; ++i)
      for (int c = runs.run[i].begin; c < runs.run[i].end; c += lanes) {
        const F score = load(row + c);
        store(row + c, select(score == set1(-infinity), zero(), one / (one + exp2(score * unit))));
      }
  }

  void sum(const Block& block, const Block* next) {
    values_asked_ = false;
    bool asked = false;
    const int tile = tile_of(value_bytes(), 4);
    for (int at = 0; at < block.count; at += tile)
      for (int h = 0; h < decoding_.key_value_heads; ++h)
        each_needed(block, h, at, at + tile, [&](int from, int to) {
          const Rowwise rows{row_of(h, 0),      partial_stride_,
                             decoding_.rows,    scores_of(h, 0) + from,
                             score_stride_,     std::int64_t{h} * head_.value_width * bits_of(head_.value_type) / 8,
                             head_.value_width, nullptr};
          sum_(rows, block.value + from, to - from, stream_);
          if (next && !asked && stream_.finished()) {
            asked = true;
            stream_.begin(next->key, next->count, next->any, key_bytes());
          }
        });
    if (next && !asked) stream_.begin(next->key, next->count, next->any, key_bytes());
  }

  const Decoding& decoding_;
  const Head& head_;
  std::int64_t end_, next_;
  float* partial_;
  std::int64_t partial_stride_;
  int most_;
  std::int64_t score_stride_, query_stride_;
  int looks_;
  float *queries_, *scores_;
  Block blocks_[2];
  AdjustScratch adjust_;
  const KeyValueSpan* span_;
  std::int64_t span_begin_;
  Product score_, sum_;
  Stream stream_;
  bool values_asked_ = false;
};

void part(const Decoding& decoding, std::int64_t begin, std::int64_t end, float* scratch, float* partial) {
  Part(decoding, begin, end, scratch, partial).run();
}

void join(const Head& head, std::int64_t query, const float* const* partial, int count) {
  const std::int64_t tail = attention::partial_floats(head.value_width) - 16;
  const bool sigmoid = head.normaliser == Normaliser::sigmoid;
  const bool sink = head.normaliser == Normaliser::softmax_zero || head.normaliser == Normaliser::softmax_sink;
  float maximum = sink ? head.sink * log2_e : sigmoid ? 0.0f : -infinity;
  for (int i = 0; i < count && !sigmoid; ++i) maximum = partial[i][tail] > maximum ? partial[i][tail] : maximum;
  const F shift = set1(maximum == -infinity ? 0.0f : maximum);
  float sum = sink ? exp2(set1(head.sink * log2_e) - shift)[0] : 0.0f;
  for (int i = 0; i < count; ++i) sum += partial[i][tail + 1] * exp2(set1(partial[i][tail]) - shift)[0];
  const F factor = set1(sigmoid ? 1.0f / head.kept : sum > 0.0f ? 1.0f / (sum * head.kept) : sum);
  const bool is_split_type = is_split(head.value_type);
  for (int column = 0; column < head.value_width; column += pair) {
    Pair total{zero(), zero()};
    for (int i = 0; i < count; ++i) {
      const F share = sigmoid ? set1(1.0f) : exp2(set1(partial[i][tail]) - shift);
      total.first = fma(share, load(partial[i] + column), total.first);
      total.second = fma(share, load(partial[i] + column + lanes), total.second);
    }
    if (is_split_type) total = joined(total);
    const auto write = [&](F value, int at) {
      if (at >= head.value_width) return;
      const int width = tail_of(head.value_width - at);
      const std::int64_t to = query * head.output_stride + at;
      if (head.output_type == DType::float32)
        store(static_cast<float*>(head.output) + to, value * factor, width);
      else
        store_bfloat16(static_cast<std::uint16_t*>(head.output) + to, value * factor, width);
    };
    write(total.first, column);
    write(total.second, column + lanes);
  }
  if (!head.log_sum_exp) return;
  head.log_sum_exp[query] = sigmoid      ? 0.0f
                            : sum > 0.0f ? fma(set1(maximum), set1(ln_2), log(set1(sum)))[0]
                            : sum == sum ? -infinity
                                         : sum;
}

}  // namespace

extern const attention::Decode attention_decode_kernel;
const attention::Decode attention_decode_kernel = {part, join};

}  // namespace heed::HEED_ISA
