#pragma once
// Rows of a view as vectors: typed loads and stores, and the loop over a row whose tail is a masked vector. Only for
// files under cpu/; everything is inlined always.
#include <heed/tensor.h>

#include "simd/vector.h"

namespace heed::HEED_ISA {

/// Stands where a count of elements may stand: a whole vector. A step written for both is compiled twice.
struct Whole {};

HEED_INLINE F load(const float* from, Whole) { return load(from); }
HEED_INLINE void store(float* to, F value, Whole) { store(to, value); }
HEED_INLINE F load(const bfloat16* from, Whole) { return load_bfloat16(reinterpret_cast<const std::uint16_t*>(from)); }
HEED_INLINE F load(const bfloat16* from, int count) {
  return load_bfloat16(reinterpret_cast<const std::uint16_t*>(from), count);
}
HEED_INLINE void store(bfloat16* to, F value, Whole) { store_bfloat16(reinterpret_cast<std::uint16_t*>(to), value); }
HEED_INLINE void store(bfloat16* to, F value, int count) {
  store_bfloat16(reinterpret_cast<std::uint16_t*>(to), value, count);
}
HEED_INLINE F load(const float16* from, Whole) {
  return from_float16(load_half(reinterpret_cast<const std::uint16_t*>(from)));
}
HEED_INLINE F load(const float16* from, int count) {
  return from_float16(load_half(reinterpret_cast<const std::uint16_t*>(from), count));
}
HEED_INLINE void store(float16* to, F value, Whole) {
  store_half(reinterpret_cast<std::uint16_t*>(to), to_float16(value));
}
HEED_INLINE void store(float16* to, F value, int count) {
  store_half(reinterpret_cast<std::uint16_t*>(to), to_float16(value), count);
}

/// The lanes that count; the others become `otherwise`.
HEED_INLINE F keep(F value, Whole, F = zero()) { return value; }
HEED_INLINE F keep(F value, int count, F otherwise = zero()) {
  return select((I)iota() < set1_int(count), value, otherwise);
}

template <class T = float>
HEED_INLINE T* row_of(const View& view, std::int64_t row) {
  return static_cast<T*>(view.data) + row * view.row_stride;
}

/// step(first element, Whole or count) for each vector of a row.
template <class Step>
HEED_INLINE void for_vectors(std::int64_t width, Step step) {
  std::int64_t j = 0;
  for (; j + lanes <= width; j += lanes) step(j, Whole{});
  if (j < width) step(j, static_cast<int>(width - j));
}

/// The lane sums of term(first element, Whole or count), in four running vectors so that additions overlap. A term's
/// lanes past the count must be zero.
template <class Term>
HEED_INLINE F sum_vectors(std::int64_t width, Term term) {
  F sum[4] = {};
  std::int64_t j = 0;
  for (; j + 4 * lanes <= width; j += 4 * lanes)
    for (int k = 0; k < 4; ++k) sum[k] += term(j + k * lanes, Whole{});
  for (; j + lanes <= width; j += lanes) sum[0] += term(j, Whole{});
  if (j < width) sum[1] += term(j, static_cast<int>(width - j));
  return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

/// Calls f with a null pointer to the view's element type: float or bfloat16.
template <class Function>
HEED_INLINE void with_type(const View& view, Function f) {
  if (view.dtype == DType::bfloat16)
    f(static_cast<bfloat16*>(nullptr));
  else
    f(static_cast<float*>(nullptr));
}

}  // namespace heed::HEED_ISA
