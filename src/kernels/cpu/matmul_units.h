#pragma once
// A unit is what one lane multiplies at a time along k: a float32, or, where the processor multiplies bfloat16, a pair
// of neighbours in k (the earlier in the low half; an odd k is padded with zero). Either has 32 bits, so one
// micro-kernel and one packing, over vectors of "floats", serve both.
#include <heed/tensor.h>

#include <utility>

#include "simd/vector.h"

namespace heed::HEED_ISA {

/// Factors as float32.
struct Float32Units {
  static constexpr int elements = 1;
  static constexpr bool rounded = false;
  static HEED_INLINE F multiply_add(F a, F b, F sum) { return fma(a, b, sum); }
};
#if defined(HEED_ISA_IS_avx512_bf16)
/// Factors as pairs of bfloat16.
struct BFloat16Units {
  static constexpr int elements = 2;
  static constexpr bool rounded = true;
  static HEED_INLINE F multiply_add(F a, F b, F sum) {
    return (F)_mm512_dpbf16_ps((__m512)sum, (__m512bh)a, (__m512bh)b);
  }
};
#else
/// Factors rounded to bfloat16, multiplied as float32.
struct BFloat16Units {
  static constexpr int elements = 1;
  static constexpr bool rounded = true;
  static HEED_INLINE F multiply_add(F a, F b, F sum) { return fma(a, b, sum); }
};
#endif

/// How many units so many neighbouring elements make.
template <class Units>
constexpr int units_of(std::int64_t elements) {
  return static_cast<int>((elements + Units::elements - 1) / Units::elements);
}

/// True when elements of this type are units as they lie (but for the odd one at the end of k).
template <class Units>
constexpr bool lies_in_units(DType dtype) {
  return Units::elements == 2 ? dtype == DType::bfloat16 : dtype == DType::float32 && !Units::rounded;
}

/// Element (row, column) of a view.
HEED_INLINE const char* address(const View& view, std::int64_t row, std::int64_t column) {
  const std::int64_t size = view.dtype == DType::float32 ? 4 : 2;
  return static_cast<const char*>(view.data) + size * (row * view.row_stride + column);
}

/// f(pointer to the elements, in their type).
template <class Function>
HEED_INLINE void with_type(DType dtype, const void* data, Function&& f) {
  if (dtype == DType::bfloat16)
    f(static_cast<const bfloat16*>(data));
  else if (dtype == DType::float16)
    f(static_cast<const float16*>(data));
  else
    f(static_cast<const float*>(data));
}

HEED_INLINE F load_floats(const float* from, int count) { return count >= lanes ? load(from) : load(from, count); }
HEED_INLINE F load_floats(const bfloat16* from, int count) {
  const auto* bits = reinterpret_cast<const std::uint16_t*>(from);
  return count >= lanes ? load_bfloat16(bits) : load_bfloat16(bits, count);
}
HEED_INLINE F load_floats(const float16* from, int count) {
  const auto* bits = reinterpret_cast<const std::uint16_t*>(from);
  return count >= lanes ? load_float16(bits) : load_float16(bits, count);
}
template <class S>
HEED_INLINE H load_rounded(const S* from, int count) {
  if constexpr (dtype_of<S> == DType::bfloat16) {
    const auto* bits = reinterpret_cast<const std::uint16_t*>(from);
    return count >= lanes ? load_half(bits) : load_half(bits, count);
  } else {
    return to_bfloat16(load_floats(from, count));
  }
}

#if defined(HEED_ISA_IS_avx512_bf16)
/// Up to 2·lanes neighbours, in pairs; beyond the `left` ones, zero.
HEED_INLINE F load_pairs(const bfloat16* from, std::int64_t left) {
  const __mmask32 mask = left < 2 * lanes ? (std::uint32_t{1} << left) - 1u : ~std::uint32_t{0};
  return (F)_mm512_maskz_loadu_epi16(mask, from);
}
template <class S>
HEED_INLINE F load_pairs(const S* from, std::int64_t left) {
  const F low = load_floats(from, left < lanes ? static_cast<int>(left) : lanes);
  const F high =
      left > lanes ? load_floats(from + lanes, static_cast<int>(left < 2 * lanes ? left - lanes : lanes)) : zero();
  return (F)_mm512_cvtne2ps_pbh((__m512)high, (__m512)low);
}
#endif

/// Up to `lanes` neighbouring units of a row that runs along k, of which `count` elements are left; beyond them, zero.
template <class Units, class S>
HEED_INLINE F load_along(const S* from, std::int64_t left) {
  if constexpr (Units::elements == 1) {
    const int count = left < lanes ? static_cast<int>(left) : lanes;
    return Units::rounded ? from_bfloat16(load_rounded(from, count)) : load_floats(from, count);
  } else {
    return load_pairs(from, left);
  }
}

/// One unit of each of `count` neighbouring columns; rows run across k, `stride` apart. `last_is_half`: the unit's
/// second element lies beyond k and is zero.
template <class Units, class S>
HEED_INLINE F load_across(const S* from, std::int64_t stride, int count, bool last_is_half) {
  if constexpr (Units::elements == 1) {
    return Units::rounded ? from_bfloat16(load_rounded(from, count)) : load_floats(from, count);
  } else {
    U units = __builtin_convertvector(load_rounded(from, count), U);
    if (!last_is_half) units |= __builtin_convertvector(load_rounded(from + stride, count), U) << 16;
    return as_float(units);
  }
}

template <int distance, int... lane>
HEED_INLINE void exchange(F& a, F& b, std::integer_sequence<int, lane...>) {
  const F first = __builtin_shufflevector(a, b, ((lane & distance) ? lanes + lane - distance : lane)...);
  b = __builtin_shufflevector(a, b, ((lane & distance) ? lanes + lane : lane + distance)...);
  a = first;
}
template <int distance>
HEED_INLINE void exchange_all(F (&row)[lanes]) {
  for (int i = 0; i < lanes; ++i)
    if (!(i & distance)) exchange<distance>(row[i], row[i + distance], std::make_integer_sequence<int, lanes>());
}
/// Transposes `lanes` rows of `lanes` in place: blocks of every size change places across the diagonal.
HEED_INLINE void transpose(F (&row)[lanes]) {
  if constexpr (lanes > 8) exchange_all<8>(row);
  if constexpr (lanes > 4) exchange_all<4>(row);
  exchange_all<2>(row);
  exchange_all<1>(row);
}

}  // namespace heed::HEED_ISA
