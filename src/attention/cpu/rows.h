#pragma once
// Rows of any type as float32: loaded, copied with padding, or turned into columns.
#include <heed/dtype.h>

#include "simd/vector.h"

namespace heed::HEED_ISA {

/// `count` (1 to lanes) elements from element `index`; the rest are zero.
template <DType type>
HEED_INLINE F load_as(const void* row, std::int64_t index, int count) {
  if constexpr (type == DType::float32) {
    const float* from = static_cast<const float*>(row) + index;
    return count == lanes ? load(from) : load(from, count);
  } else {
    const std::uint16_t* from = static_cast<const std::uint16_t*>(row) + index;
    H bits{};
    if (count == lanes)
      __builtin_memcpy(&bits, from, sizeof(H));
    else
      for (int i = 0; i < count; ++i) bits[i] = from[i];
    return type == DType::bfloat16 ? from_bfloat16(bits) : from_float16(bits);
  }
}

HEED_INLINE int tail_of(std::int64_t left) { return left < lanes ? static_cast<int>(left) : lanes; }

/// Copies rows to float32, each padded with zeros to whole vectors.
template <DType type>
static void copy_rows(const void* from, std::int64_t stride, std::int64_t rows, int width, float* to,
                      std::int64_t to_stride) {
  constexpr std::int64_t bytes = type == DType::float32 ? 4 : 2;
  for (std::int64_t row = 0; row < rows; ++row) {
    const void* source = static_cast<const char*>(from) + row * stride * bytes;
    for (int i = 0; i < width; i += lanes)
      store(to + row * to_stride + i, load_as<type>(source, i, tail_of(width - i)));
  }
}

[[maybe_unused]] static void copy_rows(DType type, const void* from, std::int64_t stride, std::int64_t rows, int width,
                                       float* to, std::int64_t to_stride) {
  if (type == DType::float32)
    copy_rows<DType::float32>(from, stride, rows, width, to, to_stride);
  else if (type == DType::bfloat16)
    copy_rows<DType::bfloat16>(from, stride, rows, width, to, to_stride);
  else
    copy_rows<DType::float16>(from, stride, rows, width, to, to_stride);
}

#if defined(__clang__)
#define HEED_SHUFFLE_LANES(a, b, index) shuffle_lanes(a, b, index)
HEED_INLINE F shuffle_lanes(F a, F b, I index) {
  F result;
  for (int i = 0; i < lanes; ++i) result[i] = index[i] < lanes ? a[index[i]] : b[index[i] - lanes];
  return result;
}
#else
#define HEED_SHUFFLE_LANES(a, b, index) __builtin_shuffle(a, b, index)
#endif

/// lanes × lanes elements, in place: each stage swaps the off-diagonal quarters of blocks half as large.
HEED_INLINE void transpose(F (&row)[lanes]) {
#pragma GCC unroll 4
  for (int half = lanes / 2; half > 0; half /= 2) {
    I upper{}, lower{};
    for (int i = 0; i < lanes; ++i) {
      upper[i] = (i & half) ? i - half + lanes : i;
      lower[i] = (i & half) ? i + lanes : i + half;
    }
#pragma GCC unroll 16
    for (int i = 0; i < lanes; ++i) {
      if (i & half) continue;
      const F a = row[i], b = row[i + half];
      row[i] = HEED_SHUFFLE_LANES(a, b, upper);
      row[i + half] = HEED_SHUFFLE_LANES(a, b, lower);
    }
  }
}

/// to[column][row] = factor · from[row][column]; rows are padded with zeros to whole vectors (`to_stride` of them).
template <DType type>
static void transpose_rows(const void* from, std::int64_t stride, int rows, int width, float factor, float* to,
                           std::int64_t to_stride) {
  constexpr std::int64_t bytes = type == DType::float32 ? 4 : 2;
  for (int top = 0; top < rows; top += lanes)
    for (int left = 0; left < width; left += lanes) {
      F block[lanes];
      for (int i = 0; i < lanes; ++i)
        block[i] = top + i < rows ? load_as<type>(static_cast<const char*>(from) + (top + i) * stride * bytes, left,
                                                  tail_of(width - left))
                                  : zero();
      transpose(block);
      const int columns = tail_of(width - left);
      for (int i = 0; i < columns; ++i) store(to + (left + i) * to_stride + top, block[i] * set1(factor));
    }
}

[[maybe_unused]] static void transpose_rows(DType type, const void* from, std::int64_t stride, int rows, int width,
                                            float factor, float* to, std::int64_t to_stride) {
  if (type == DType::float32)
    transpose_rows<DType::float32>(from, stride, rows, width, factor, to, to_stride);
  else
    transpose_rows<DType::bfloat16>(from, stride, rows, width, factor, to, to_stride);
}

}  // namespace heed::HEED_ISA
