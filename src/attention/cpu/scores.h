#pragma once
// What forward and backward share of a block of scores: scores[key][query], a query a lane, in units of log2(e), so
// that the softmax takes powers of two.
#include "attention/cpu/rows.h"
#include "attention/cpu/task.h"
#include "attention/cpu/tile.h"

namespace heed::HEED_ISA {

using attention::Bands;
using attention::Head;
using attention::key_block;
using attention::padded;
using attention::query_block;

inline constexpr float log2_e = 1.44269504088896341f, ln_2 = 0.693147180559945309f;
inline constexpr float infinity = __builtin_inff();

HEED_INLINE int whole_vectors(std::int64_t count) { return static_cast<int>((count + lanes - 1) / lanes * lanes); }

/// Queries are multiplied by this before the product: scores come out in the unit that comes next.
HEED_INLINE float query_factor(const Head& head) {
  return head.soft_cap != 0.0f ? head.scale / head.soft_cap : head.scale * log2_e;
}

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

/// Natural logarithm of a normal number (Cephes' logf, Moshier 1992).
HEED_INLINE F log(F x) {
  const I bits = as_int(x);
  const I exponent = (bits - 0x3f3504f3) >> 23;  // mantissa in [sqrt(1/2), sqrt(2))
  const F f = as_float(bits - (exponent << 23)) - set1(1.0f);
  F p = set1(7.0376836292e-2f);
  p = fma(p, f, set1(-1.1514610310e-1f));
  p = fma(p, f, set1(1.1676998740e-1f));
  p = fma(p, f, set1(-1.2420140846e-1f));
  p = fma(p, f, set1(1.4249322787e-1f));
  p = fma(p, f, set1(-1.6668057665e-1f));
  p = fma(p, f, set1(2.0000714765e-1f));
  p = fma(p, f, set1(-2.4999993993e-1f));
  p = fma(p, f, set1(3.3333331174e-1f));
  const F square = f * f;
  return fma(__builtin_convertvector(exponent, F), set1(ln_2), f + fma(p * f, square, set1(-0.5f) * square));
}

struct Range {
  std::int64_t begin, end;
};

HEED_INLINE std::int64_t larger(std::int64_t a, std::int64_t b) { return a > b ? a : b; }
HEED_INLINE std::int64_t smaller(std::int64_t a, std::int64_t b) { return a < b ? a : b; }

/// Keys that some query at positions [first, last] may see, as one range within [0, keys).
static Range seen(const Head& head, std::int64_t first, std::int64_t last) {
  if (!head.bands) return {0, head.keys};
  Range range{head.keys, 0};
  for (int i = 0; i < head.bands->count; ++i) {
    const Bands::Band& band = head.bands->band[i];
    const std::int64_t begin = larger(larger(first + band.low, band.first), 0);
    const std::int64_t end = smaller(smaller(last + band.high, band.end), head.keys);
    if (begin >= end) continue;
    range.begin = smaller(range.begin, begin);
    range.end = larger(range.end, end);
  }
  return range.begin < range.end ? range : Range{0, 0};
}

enum class Seen { nothing, all, some };

/// What queries at positions [first, last] see of keys [begin, end).
static Seen cover(const Head& head, std::int64_t first, std::int64_t last, std::int64_t begin, std::int64_t end) {
  if (!head.bands) {
    const int answer =
        head.mask.cover(head.mask, first, static_cast<int>(last - first + 1), begin, static_cast<int>(end - begin));
    return answer == 0 ? Seen::nothing : answer == 1 ? Seen::all : Seen::some;
  }
  Seen result = Seen::nothing;
  for (int i = 0; i < head.bands->count; ++i) {
    const Bands::Band& band = head.bands->band[i];
    if (begin >= larger(last + band.low, band.first) && end <= smaller(first + band.high, band.end)) return Seen::all;
    if (end > larger(first + band.low, band.first) && begin < smaller(last + band.high, band.end)) result = Seen::some;
  }
  return result;
}

/// Keys or values of rows [begin, begin + count): where they lie, or as float32 in `scratch` when they are of another
/// type, lie in several spans, or must be padded to whole vectors and are not.
template <bool values>
static Panel fetch(const Head& head, std::int64_t begin, std::int64_t count, bool pad, float* scratch) {
  const int width = values ? head.value_width : head.width;
  const std::int64_t stride = values ? head.value_stride : head.key_stride;
  const std::int64_t column = values ? head.value_column : head.key_column;
  const std::int64_t bytes = head.key_value_type == DType::float32 ? 4 : 2;
  const std::int64_t padded_width = whole_vectors(width);
  int span = 0;
  while (begin >= head.spans[span].count) begin -= head.spans[span++].count;
  for (std::int64_t done = 0; done < count;) {
    const attention::Span& rows = head.spans[span++];
    const void* data = static_cast<const char*>(values ? rows.value : rows.key) + (begin * stride + column) * bytes;
    const std::int64_t here = smaller(rows.count - begin, count - done);
    if (here == count && bytes == 4 && (!pad || width == padded_width))
      return {static_cast<const float*>(data), stride};
    copy_rows(head.key_value_type, data, stride, here, width, scratch + done * padded_width, padded_width);
    done += here;
    begin = 0;
  }
  return {scratch, padded_width};
}

/// Rows of the block of work that comes next, asked for while this one computes. A head's rows lie far apart in short
/// runs, which no processor foresees.
class Ahead {
 public:
  Ahead(const Head& head, const Head* next, std::int64_t begin) {
    if (!next) return;
    const std::int64_t queries = smaller(query_block, next->queries - begin);
    add(next->query, next->query_type, next->query_stride, begin, queries, next->width);
    add(next->output, next->output_type, next->output_stride, begin, queries, next->value_width);
    if (next->span_count != 1 || (next->spans == head.spans && next->key_column == head.key_column)) return;
    const std::int64_t keys = smaller(key_block, next->keys);
    const DType type = next->key_value_type;
    add(at(next->spans->key, type, next->key_column), type, next->key_stride, 0, keys, next->width);
    add(at(next->spans->value, type, next->value_column), type, next->value_stride, 0, keys, next->value_width);
  }

  /// The backward's: gradients as well.
  Ahead(const Head& head, const Head* next, const attention::HeadGradients* gradients)
      : Ahead(head, next, std::int64_t{0}) {
    if (!next) return;
    const std::int64_t queries = smaller(query_block, next->queries), keys = smaller(key_block, next->keys);
    add(gradients->doutput, DType::float32, gradients->doutput_stride, 0, queries, next->value_width);
    if (gradients->query) add(gradients->query, DType::float32, gradients->query_stride, 0, queries, next->width);
    if (gradients->key) add(gradients->key, DType::float32, gradients->key_stride, 0, keys, next->width);
    if (gradients->value) add(gradients->value, DType::float32, gradients->value_stride, 0, keys, next->value_width);
  }

  /// Asks for the next `rows` rows, if there are any left.
  HEED_INLINE void fetch(int rows) {
    while (rows > 0 && part_ < parts_) {
      const Rows& part = part_of_[part_];
      for (; rows > 0 && row_ < part.count; --rows, ++row_)
        for (std::int64_t i = 0; i < part.bytes; i += 64) __builtin_prefetch(part.data + row_ * part.stride + i);
      if (row_ < part.count) return;
      row_ = 0;
      ++part_;
    }
  }

 private:
  struct Rows {
    const char* data;
    std::int64_t stride, bytes, count;
  };
  static const void* at(const void* data, DType type, std::int64_t column) {
    return static_cast<const char*>(data) + column * (type == DType::float32 ? 4 : 2);
  }
  void add(const void* data, DType type, std::int64_t stride, std::int64_t begin, std::int64_t count, int width) {
    const std::int64_t bytes = type == DType::float32 ? 4 : 2;
    part_of_[parts_++] = {static_cast<const char*>(data) + begin * stride * bytes, stride * bytes, width * bytes,
                          count};
  }

  Rows part_of_[8];
  int parts_ = 0, part_ = 0;
  std::int64_t row_ = 0;
};

/// A block of queries: what its lanes know of themselves.
struct QueryBlock {
  static constexpr int group_rows = 12;  ///< whole tiles
  const Head& head;
  std::int64_t first;  ///< position of the first query
  std::int64_t index;  ///< of the first query in its sequence
  int count, lanes_used;

  QueryBlock(const Head& of, std::int64_t begin, int queries)
      : head(of), first(of.position + begin), index(begin), count(queries), lanes_used(whole_vectors(queries)) {}

  Range keys() const { return seen(head, first, first + count - 1); }
  Seen covers(std::int64_t begin, std::int64_t end) const { return cover(head, first, first + count - 1, begin, end); }
  I positions(int lane) const { return (I)iota() + set1_int(static_cast<std::int32_t>(first + lane)); }
  U draws(int lane) const { return (iota() + set1_uint(static_cast<std::uint32_t>(index + lane))) * query_step; }

  /// Keys that queries [query, query + queries) of the block see of [begin, begin + keys), counted from `begin`.
  Range keys_of(int query, int queries, std::int64_t begin, int keys, bool masked) const {
    if (!masked || !head.bands) return {0, keys};
    const std::int64_t last = first + smaller(query + queries, count) - 1;
    const Range range = seen(head, first + query, last);
    const std::int64_t from = larger(range.begin - begin, 0), to = smaller(range.end - begin, keys);
    return from < to ? Range{from, to} : Range{0, 0};
  }

  /// Calls f(key, keys, first lane, lanes) for groups of keys and the whole vectors of queries that see any of them:
  /// along the edge of a mask products are made only there.
  template <class Function>
  HEED_INLINE void each_key_group(std::int64_t begin, int keys, bool masked, Function f) const {
    if (!masked || !head.bands) return f(0, keys, 0, lanes_used);
    Range of[query_block / lanes];
    for (int lane = 0; lane < lanes_used; lane += lanes) of[lane / lanes] = keys_of(lane, lanes, begin, keys, true);
    int start = 0, start_low = 0, start_high = 0;
    for (int key = 0; key <= keys; key += group_rows) {
      const int end = static_cast<int>(smaller(key + group_rows, keys));
      int low = lanes_used, high = 0;
      for (int lane = 0; lane < lanes_used && key < keys; lane += lanes) {
        const Range& range = of[lane / lanes];
        if (range.begin >= end || range.end <= key) continue;
        low = lane < low ? lane : low;
        high = lane + lanes;
      }
      if (key > 0 && key < keys && low == start_low && high == start_high) continue;
      if (start_low < start_high)
        f(start, static_cast<int>(smaller(key, keys)) - start, start_low, start_high - start_low);
      start = key;
      start_low = low;
      start_high = high;
    }
    if (start < keys && start_low < start_high) f(start, keys - start, start_low, start_high - start_low);
  }

  /// Calls f(query, queries, first key, keys) for groups of queries and the keys that they see.
  template <class Function>
  HEED_INLINE void each_query_group(std::int64_t begin, int keys, bool masked, Function f) const {
    if (!masked || !head.bands) return f(0, count, 0, keys);
    for (int query = 0; query < count; query += group_rows) {
      const int queries = static_cast<int>(smaller(group_rows, count - query));
      const Range range = keys_of(query, queries, begin, keys, true);
      f(query, queries, static_cast<int>(range.begin), static_cast<int>(range.end - range.begin));
    }
  }

  /// Soft cap, biases and mask over scores of keys [begin, begin + keys). `derivative` receives the soft cap's, if
  /// there is one; `line` is scratch of key_block + query_block + lanes floats.
  void adjust(float* scores, std::int64_t begin, int keys, bool masked, float* derivative, float* line) const {
    if (head.soft_cap != 0.0f) cap(scores, keys, derivative);
    if (head.slope != 0.0f) add_distance(scores, begin, keys);
    if (head.relative) add_relative(scores, begin, keys, line);
    if (!masked) return;
    if (!head.bands)
      head.mask.fill(head.mask, first, count, begin, keys, scores, 1, lanes_used);
    else
      mask_bands(scores, begin, keys);
  }

 private:
  void cap(float* scores, int keys, float* derivative) const {
    const F unit = set1(head.soft_cap * log2_e), one = set1(1.0f);
    for (int i = 0; i < keys * lanes_used; i += lanes) {
      const F bent = tanh(load(scores + i));
      store(scores + i, bent * unit);
      if (derivative) store(derivative + i, one - bent * bent);
    }
  }

  void add_distance(float* scores, std::int64_t begin, int keys) const {
    const F slope = set1(-head.slope * log2_e);
    for (int lane = 0; lane < lanes_used; lane += lanes) {
      const I from = positions(lane) - set1_int(static_cast<std::int32_t>(begin));
      for (int key = 0; key < keys; ++key) {
        float* score = scores + key * lanes_used + lane;
        store(score, fma(slope, absolute(__builtin_convertvector(from - set1_int(key), F)), load(score)));
      }
    }
  }

  /// Along a row of scores the distance falls by one a lane, so one line of biases serves all rows, shifted by one
  /// each.
  void add_relative(float* scores, std::int64_t begin, int keys, float* line) const {
    for (int i = 0; i < keys + lanes_used; ++i) line[i] = head.relative[place(begin, keys, i)] * log2_e;
    for (int key = 0; key < keys; ++key)
      for (int lane = 0; lane < lanes_used; lane += lanes) {
        float* score = scores + key * lanes_used + lane;
        store(score, load(score) + load(line + (keys - 1 - key) + lane));
      }
  }

  void mask_bands(float* scores, std::int64_t begin, int keys) const {
    const F none = set1(-infinity);
    for (int lane = 0; lane < lanes_used; lane += lanes) {
      I low[Bands::most], high[Bands::most];
      const I position = positions(lane);
      const int bands = head.bands->count;
      for (int i = 0; i < bands; ++i) {
        const Bands::Band& band = head.bands->band[i];
        const I by_low = position + set1_int(static_cast<std::int32_t>(band.low));
        const I by_high = position + set1_int(static_cast<std::int32_t>(band.high));
        const I first_key = set1_int(static_cast<std::int32_t>(band.first));
        const I end_key = set1_int(static_cast<std::int32_t>(band.end));
        low[i] = by_low > first_key ? by_low : first_key;
        high[i] = by_high < end_key ? by_high : end_key;
      }
      const Range range = keys_of(lane, lanes, begin, keys, true);
      for (std::int64_t key = range.begin; key < range.end; ++key) {
        const I at = set1_int(static_cast<std::int32_t>(begin + key));
        I allowed{};
        for (int i = 0; i < bands; ++i) allowed |= (at >= low[i]) & (at < high[i]);
        float* score = scores + key * lanes_used + lane;
        store(score, select(allowed, load(score), none));
      }
    }
  }

 public:
  /// Where in the table the bias of line element `i` stands: line[keys − 1 − key + lane] is that of (lane, key).
  std::int64_t place(std::int64_t begin, int keys, int i) const {
    const std::int64_t distance = begin + keys - 1 - i - first;
    return smaller(larger(distance, -head.reach), head.reach) + head.reach;
  }
};

}  // namespace heed::HEED_ISA
