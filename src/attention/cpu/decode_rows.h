#pragma once
// The two products of decoding, between few rows of float32 (queries, weights) and keys or values as they lie in a
// cache: nothing is packed, every element is widened once for all rows.
#include "attention/cpu/rows.h"

namespace heed::HEED_ISA {

inline constexpr int pair = 2 * lanes;  ///< elements that are widened at once

/// Neighbouring elements: as they come or, of types that are widened so more cheaply, the even ones and the odd ones.
struct Pair {
  F first, second;
};
HEED_INLINE bool is_split(DType type) { return type == DType::bfloat16 || type == DType::q4; }
constexpr HEED_INLINE int bits_of(DType type) {
  return type == DType::float32 ? 32 : type == DType::int8 ? 8 : type == DType::q4 ? 4 : 16;
}
template <DType type>
inline constexpr int pair_bytes = pair* bits_of(type) / 8;

template <int... i>
HEED_INLINE F evens(F a, F b, std::integer_sequence<int, i...>) {
  return __builtin_shufflevector(a, b, (2 * i)...);
}
template <int... i>
HEED_INLINE F odds(F a, F b, std::integer_sequence<int, i...>) {
  return __builtin_shufflevector(a, b, (2 * i + 1)...);
}
template <int from, int... i>
HEED_INLINE F zipped(F a, F b, std::integer_sequence<int, i...>) {
  return __builtin_shufflevector(a, b, (from + i / 2 + i % 2 * lanes)...);
}
using Lanes = std::make_integer_sequence<int, lanes>;

HEED_INLINE Pair split(Pair natural) {
  return {evens(natural.first, natural.second, Lanes()), odds(natural.first, natural.second, Lanes())};
}
HEED_INLINE Pair joined(Pair halves) {
  return {zipped<0>(halves.first, halves.second, Lanes()), zipped<lanes / 2>(halves.first, halves.second, Lanes())};
}

HEED_INLINE I load_bytes(const char* from) {
#if defined(HEED_AVX512)
  return (I)_mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
#elif defined(HEED_AVX2)
  return (I)_mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(from)));
#else
  I bytes;
  for (int i = 0; i < lanes; ++i) bytes[i] = static_cast<signed char>(from[i]);
  return bytes;
#endif
}

template <DType type>
HEED_INLINE Pair load_pair(const char* from) {
  if constexpr (type == DType::float32) {
    const float* const floats = reinterpret_cast<const float*>(from);
    return {load(floats), load(floats + lanes)};
  } else if constexpr (type == DType::bfloat16) {
    U both;
    __builtin_memcpy(&both, from, sizeof both);
    return {as_float(both << 16), as_float(both & 0xffff0000u)};
  } else if constexpr (type == DType::float16) {
    const auto* const halves = reinterpret_cast<const std::uint16_t*>(from);
    return {load_float16(halves), load_float16(halves + lanes)};
  } else if constexpr (type == DType::int8) {
    return {__builtin_convertvector(load_bytes(from), F), __builtin_convertvector(load_bytes(from + lanes), F)};
  } else {
    const I both = load_bytes(from);
    return {__builtin_convertvector((both << 28) >> 28, F), __builtin_convertvector(both >> 4, F)};
  }
}
/// The first `count` elements, fewer than a pair; the rest are zero, but that the other half of an int4's byte counts.
template <DType type>
HEED_INLINE Pair load_pair(const char* from, int count) {
  const int low = count < lanes ? count : lanes, high = count - low;
  if constexpr (type == DType::float32) {
    const float* const floats = reinterpret_cast<const float*>(from);
    return {load(floats, low), load(floats + low, high)};
  } else if constexpr (type == DType::float16) {
    const auto* const halves = reinterpret_cast<const std::uint16_t*>(from);
    return {load_float16(halves, low), load_float16(halves + low, high)};
  } else {
    char copy[pair * 2] = {};
    __builtin_memcpy(copy, from, static_cast<std::size_t>((count * bits_of(type) + 7) / 8));
    return load_pair<type>(copy);
  }
}

inline constexpr int granule = 16;  ///< keys that are looked at or left out together

/// Asks for memory that will be read soon: rows in the order in which they are read, some lines at each step.
class Stream {
 public:
  /// Rows of `bytes`; of those the granules of `needed` alone.
  void begin(const char* const* rows, int count, std::uint32_t needed, std::int64_t bytes) {
    rows_ = rows;
    row_ = 0;
    count_ = count;
    needed_ = needed;
    bytes_ = bytes;
    next_stretch();
  }
  HEED_INLINE void ask(int lines) {
    for (; lines > 0 && at_ < end_; next_stretch()) {
      const char* const end = at_ + 64 * lines < end_ ? at_ + 64 * lines : end_;
      for (; at_ < end; at_ += 64, --lines) __builtin_prefetch(at_);
      if (at_ < end_) return;
    }
  }
  bool finished() const { return at_ >= end_; }

 private:
  void next_stretch() {
    const auto is_needed = [&] { return (needed_ >> row_ / granule & 1) != 0; };
    while (row_ < count_ && !is_needed()) ++row_;
    at_ = end_ = row_ < count_ ? rows_[row_] : nullptr;
    for (; row_ < count_ && rows_[row_] == end_ && is_needed(); ++row_) end_ += bytes_;
  }

  const char* const* rows_ = nullptr;
  const char *at_ = nullptr, *end_ = nullptr;
  int row_ = 0, count_ = 0;
  std::uint32_t needed_ = 0;
  std::int64_t bytes_ = 0;
};

/// Neighbouring elements within each four of a vector, or neighbouring fours, added up: of `a`, then of `b`.
template <int... i>
HEED_INLINE F added_within_fours(F a, F b, std::integer_sequence<int, i...>) {
  return __builtin_shufflevector(a, b, (i / 4 * 4 + i % 2 * 2 + (i % 4 / 2) * lanes)...) +
         __builtin_shufflevector(a, b, (i / 4 * 4 + i % 2 * 2 + (i % 4 / 2) * lanes + 1)...);
}
template <int... i>
HEED_INLINE F added_fours(F a, F b, std::integer_sequence<int, i...>) {
  return __builtin_shufflevector(a, b, (i / 4 * 8 + i % 4)...) +
         __builtin_shufflevector(a, b, (i / 4 * 8 + i % 4 + 4)...);
}
template <int left>
HEED_INLINE void fold(F (&sum)[lanes]) {
  if constexpr (left > 1) {
    HEED_UNROLL
    for (int i = 0; i < left / 2; ++i)
      sum[i] = left > lanes / 4 ? added_within_fours(sum[2 * i], sum[2 * i + 1], Lanes())
                                : added_fours(sum[2 * i], sum[2 * i + 1], Lanes());
    fold<left / 2>(sum);
  }
}
/// Sums of `lanes` vectors, each in its lane.
HEED_INLINE F totals(F (&sum)[lanes]) {
  fold<lanes>(sum);
  return sum[0];
}

/// sum[row · K + key] += the products of one pair of each.
template <DType type, int R, bool whole>
HEED_INLINE void add_products(const float* rows, std::int64_t row_stride, const char* const (&key)[lanes / R],
                              std::int64_t at, int left, F (&sum)[lanes]) {
  constexpr int K = lanes / R;
  F first[R], second[R];
  HEED_UNROLL
  for (int r = 0; r < R; ++r) {
    first[r] = load(rows + r * row_stride);
    second[r] = load(rows + r * row_stride + lanes);
  }
  HEED_UNROLL
  for (int k = 0; k < K; ++k) {
    const Pair element = whole ? load_pair<type>(key[k] + at) : load_pair<type>(key[k] + at, left);
    HEED_UNROLL
    for (int r = 0; r < R; ++r) {
      sum[r * K + k] = fma(element.first, first[r], sum[r * K + k]);
      sum[r * K + k] = fma(element.second, second[r], sum[r * K + k]);
    }
  }
}

/// scores[row][key] of R rows with lanes / R keys, of which `count` exist; times the keys' scales, or null.
template <DType type, int R>
HEED_INLINE void score_keys(const float* rows, std::int64_t row_stride, const char* const* keys, std::int64_t column,
                            int width, int count, const float* scales, float* scores, std::int64_t stride) {
  constexpr int K = lanes / R;
  const char* key[K];
  F sum[lanes];
  HEED_UNROLL
  for (int k = 0; k < K; ++k) key[k] = keys[k < count ? k : count - 1] + column;
  HEED_UNROLL
  for (int i = 0; i < lanes; ++i) sum[i] = zero();
  std::int64_t at = 0;
  int left = width;
  for (; left >= pair; left -= pair, at += pair_bytes<type>, rows += pair)
    add_products<type, R, true>(rows, row_stride, key, at, 0, sum);
  if (left > 0) add_products<type, R, false>(rows, row_stride, key, at, left, sum);
  float all[lanes];
  store(all, totals(sum));
  if constexpr (type == DType::int8 || type == DType::q4) {
    typedef float Keys __attribute__((vector_size(K * sizeof(float))));
    Keys by, part;
    __builtin_memcpy(&by, scales, sizeof by);
    HEED_UNROLL
    for (int r = 0; r < R; ++r) {
      __builtin_memcpy(&part, all + r * K, sizeof part);
      part *= by;
      __builtin_memcpy(scores + r * stride, &part, sizeof part);
    }
  } else {
    HEED_UNROLL
    for (int r = 0; r < R; ++r) __builtin_memcpy(scores + r * stride, all + r * K, K * sizeof(float));
  }
}

/// sums[row][columns of N pairs] += Σ weights[row][key] · values[key].
template <DType type, int R, int N, bool whole>
HEED_INLINE void sum_values(const float* weights, std::int64_t stride, const char* const* values, std::int64_t column,
                            int width, int count, float* sums, std::int64_t sums_stride) {
  F sum[R][2 * N];
  HEED_UNROLL
  for (int r = 0; r < R; ++r) {
    HEED_UNROLL
    for (int n = 0; n < 2 * N; ++n) sum[r][n] = load(sums + r * sums_stride + n * lanes);
  }
  for (int key = 0; key < count; ++key) {
    const char* const value = values[key] + column;
    F factor[R];
    HEED_UNROLL
    for (int r = 0; r < R; ++r) factor[r] = set1(weights[r * stride + key]);
    HEED_UNROLL
    for (int n = 0; n < N; ++n) {
      const Pair element =
          whole ? load_pair<type>(value + n * pair_bytes<type>) : load_pair<type>(value + n * pair_bytes<type>, width);
      HEED_UNROLL
      for (int r = 0; r < R; ++r) {
        sum[r][2 * n] = fma(factor[r], element.first, sum[r][2 * n]);
        sum[r][2 * n + 1] = fma(factor[r], element.second, sum[r][2 * n + 1]);
      }
    }
  }
  HEED_UNROLL
  for (int r = 0; r < R; ++r) {
    HEED_UNROLL
    for (int n = 0; n < 2 * N; ++n) store(sums + r * sums_stride + n * lanes, sum[r][n]);
  }
}

/// What one key-value head's rows have to do with some keys.
struct Rowwise {
  float* rows;              ///< queries, or sums
  std::int64_t row_stride;  ///< padded to whole pairs
  int count;                ///< rows
  float* scores;            ///< or weights, of the first key
  std::int64_t stride;
  std::int64_t column;  ///< of the head in keys or values, in bytes
  int width;
  const float* scales;  ///< of the head in keys, from the first on, or null
};

using Product = void (*)(const Rowwise&, const char* const* keys, int count, Stream& stream);

template <DType type>
static void score_rows(const Rowwise& to, const char* const* keys, int count, Stream& stream) {
  const int lines = static_cast<int>((to.width * bits_of(type) / 8 * lanes + 63) / 64);
  for (int row = 0; row < to.count;) {
    const int left = to.count - row, taken = left >= 4 ? 4 : left >= 2 ? 2 : 1, step = lanes / taken;
    for (int key = 0; key < count; key += step) {
      if (row == 0) stream.ask(lines / taken);
      const float* const query = to.rows + row * to.row_stride;
      float* const scores = to.scores + row * to.stride + key;
      switch (taken) {
        case 4:
          score_keys<type, 4>(query, to.row_stride, keys + key, to.column, to.width, count - key, to.scales + key,
                              scores, to.stride);
          break;
        case 2:
          score_keys<type, 2>(query, to.row_stride, keys + key, to.column, to.width, count - key, to.scales + key,
                              scores, to.stride);
          break;
        default:
          score_keys<type, 1>(query, to.row_stride, keys + key, to.column, to.width, count - key, to.scales + key,
                              scores, to.stride);
      }
    }
    row += taken;
  }
}

#if defined(HEED_AVX512)
inline constexpr int pairs_at_once = 2;
#else
inline constexpr int pairs_at_once = 1;
#endif

template <DType type, int R>
static void sum_columns(const Rowwise& to, int row, const char* const* values, int count, Stream& stream) {
  constexpr std::int64_t bits = bits_of(type);
  for (int column = 0; column < to.width;) {
    const float* const weights = to.scores + row * to.stride;
    float* const sums = to.rows + row * to.row_stride + column;
    const std::int64_t at = to.column + column * bits / 8;
    const int left = to.width - column;
    if (row == 0) stream.ask(static_cast<int>((smaller(left, pairs_at_once * pair) * bits / 8 * count + 63) / 64));
    if (left >= pairs_at_once * pair) {
      sum_values<type, R, pairs_at_once, true>(weights, to.stride, values, at, 0, count, sums, to.row_stride);
      column += pairs_at_once * pair;
    } else if (left >= pair) {
      sum_values<type, R, 1, true>(weights, to.stride, values, at, 0, count, sums, to.row_stride);
      column += pair;
    } else {
      sum_values<type, R, 1, false>(weights, to.stride, values, at, left, count, sums, to.row_stride);
      column += pair;
    }
  }
}

template <DType type>
static void sum_rows(const Rowwise& to, const char* const* values, int count, Stream& stream) {
  for (int row = 0; row < to.count;) {
    const int left = to.count - row;
    if (left >= 4) {
      sum_columns<type, 4>(to, row, values, count, stream);
      row += 4;
    } else if (left >= 2) {
      sum_columns<type, 2>(to, row, values, count, stream);
      row += 2;
    } else {
      sum_columns<type, 1>(to, row, values, count, stream);
      row += 1;
    }
  }
}

#define HEED_PRODUCT_OF(product, type)                    \
  ((type) == DType::float32    ? product<DType::float32>  \
   : (type) == DType::bfloat16 ? product<DType::bfloat16> \
   : (type) == DType::float16  ? product<DType::float16>  \
   : (type) == DType::int8     ? product<DType::int8>     \
                               : product<DType::q4>)

}  // namespace heed::HEED_ISA
