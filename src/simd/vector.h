#pragma once
// The vector that a kernel is written in: one width per instruction set, the same operators everywhere. Only files
// under a cpu/ folder include this; they are compiled once per instruction set with HEED_ISA naming the namespace.
//
// Vectors are GCC/Clang vector extensions, so + - * / and comparisons are the language's own; what the extensions lack
// (fused multiply-add, masked loads, reductions, exp, tanh) stands here. Every function is inlined always: nothing of
// one instruction set may be emitted under a name that another could link to.
#include <cstdint>
#include <cstring>

#if defined(HEED_ISA_IS_avx2) || defined(HEED_ISA_IS_avx512) || defined(HEED_ISA_IS_avx512_bf16)
#include <immintrin.h>
#endif
#if defined(HEED_ISA_IS_avx512) || defined(HEED_ISA_IS_avx512_bf16)
#define HEED_AVX512 1
#elif defined(HEED_ISA_IS_avx2)
#define HEED_AVX2 1
#endif
#define HEED_INLINE inline __attribute__((always_inline))
/// Before a loop of constant length over an array of vectors, which must stay in registers: unroll it whole.
#if defined(__clang__)
#define HEED_UNROLL _Pragma("clang loop unroll(full)")
#else
#define HEED_UNROLL _Pragma("GCC unroll 32")
#endif

namespace heed::HEED_ISA {

#if defined(HEED_AVX512)
inline constexpr int lanes = 16;
#elif defined(HEED_AVX2)
inline constexpr int lanes = 8;
#else
inline constexpr int lanes = 4;
#endif

typedef float F __attribute__((vector_size(4 * lanes)));          ///< floats
typedef std::int32_t I __attribute__((vector_size(4 * lanes)));   ///< signed integers; also masks (0 or −1)
typedef std::uint32_t U __attribute__((vector_size(4 * lanes)));  ///< unsigned integers
typedef std::uint16_t H __attribute__((vector_size(2 * lanes)));  ///< halves: bfloat16 or float16 bits

HEED_INLINE F set1(float value) { return value - F{}; }  // not `+`: −0 would become 0, and the addition would stay
HEED_INLINE I set1_int(std::int32_t value) { return I{} + value; }
HEED_INLINE U set1_uint(std::uint32_t value) { return U{} + value; }
HEED_INLINE F zero() { return F{}; }
HEED_INLINE U iota() {
  U result;
  for (int i = 0; i < lanes; ++i) result[i] = static_cast<std::uint32_t>(i);
  return result;
}
HEED_INLINE I as_int(F value) { return (I)value; }
HEED_INLINE F as_float(I value) { return (F)value; }
HEED_INLINE F as_float(U value) { return (F)value; }

HEED_INLINE F load(const float* from) {
  F value;
  __builtin_memcpy(&value, from, sizeof(F));
  return value;
}
HEED_INLINE void store(float* to, F value) { __builtin_memcpy(to, &value, sizeof(F)); }

/// The first `count` (0 to lanes) elements; the rest are zero. Never reads past them.
HEED_INLINE F load(const float* from, int count) {
#if defined(HEED_AVX512)
  return (F)_mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << count) - 1u), from);
#elif defined(HEED_AVX2)
  return (F)_mm256_maskload_ps(from, (__m256i)((I)iota() < set1_int(count)));
#else
  F value = zero();
  for (int i = 0; i < count; ++i) value[i] = from[i];
  return value;
#endif
}
/// Writes the first `count` elements and nothing past them.
HEED_INLINE void store(float* to, F value, int count) {
#if defined(HEED_AVX512)
  _mm512_mask_storeu_ps(to, static_cast<__mmask16>((1u << count) - 1u), (__m512)value);
#elif defined(HEED_AVX2)
  _mm256_maskstore_ps(to, (__m256i)((I)iota() < set1_int(count)), (__m256)value);
#else
  for (int i = 0; i < count; ++i) to[i] = value[i];
#endif
}

/// bfloat16 is the upper half of a float32.
HEED_INLINE F from_bfloat16(H bits) { return (F)(__builtin_convertvector(bits, U) << 16); }
/// Round to nearest, ties to even; NaN stays NaN.
HEED_INLINE H to_bfloat16(F value) {
#if defined(HEED_ISA_IS_avx512_bf16)
  return (H)_mm512_cvtneps_pbh((__m512)value);
#else
  const U wide = (U)value;
  const U rounded = (wide + 0x7fffu + ((wide >> 16) & 1u)) >> 16;
  const U quiet = (wide >> 16) | 0x40u;
  const I is_nan = (I)((wide & 0x7fffffffu) > 0x7f800000u);
  return __builtin_convertvector(((U)is_nan & quiet) | (~(U)is_nan & rounded), H);
#endif
}
HEED_INLINE H load_half(const std::uint16_t* from) {
  H bits;
  __builtin_memcpy(&bits, from, sizeof(H));
  return bits;
}
HEED_INLINE void store_half(std::uint16_t* to, H bits) { __builtin_memcpy(to, &bits, sizeof(H)); }
/// The first `count` halves; the rest are zero. Never reads past them.
HEED_INLINE H load_half(const std::uint16_t* from, int count) {
#if defined(HEED_AVX512)
  return (H)_mm256_maskz_loadu_epi16(static_cast<__mmask16>((1u << count) - 1u), from);
#else
  H bits{};
  for (int i = 0; i < count; ++i) bits[i] = from[i];
  return bits;
#endif
}
HEED_INLINE void store_half(std::uint16_t* to, H bits, int count) {
#if defined(HEED_AVX512)
  _mm256_mask_storeu_epi16(to, static_cast<__mmask16>((1u << count) - 1u), (__m256i)bits);
#else
  for (int i = 0; i < count; ++i) to[i] = bits[i];
#endif
}
HEED_INLINE F load_bfloat16(const std::uint16_t* from) { return from_bfloat16(load_half(from)); }
HEED_INLINE F load_bfloat16(const std::uint16_t* from, int count) { return from_bfloat16(load_half(from, count)); }
HEED_INLINE void store_bfloat16(std::uint16_t* to, F value) { store_half(to, to_bfloat16(value)); }
HEED_INLINE void store_bfloat16(std::uint16_t* to, F value, int count) { store_half(to, to_bfloat16(value), count); }

/// IEEE 754 binary16 to float32: exact.
HEED_INLINE F from_float16(H bits) {
#if defined(HEED_AVX512)
  return (F)_mm512_cvtph_ps((__m256i)bits);
#elif defined(HEED_AVX2)
  return (F)_mm256_cvtph_ps((__m128i)bits);
#else
  // Exponent and fraction move into place; multiplying by 2^112 mends the bias, for subnormals too. Infinities and NaNs
  // (exponent all ones) get theirs set.
  const U wide = __builtin_convertvector(bits, U);
  const U magnitude = (wide & 0x7fffu) << 13;
  const F scaled = as_float(magnitude) * set1(0x1p112f);
  const U special = (U)((I)magnitude >= set1_int(0x0f800000)) & 0x7f800000u;
  return as_float((U)scaled | special | ((wide & 0x8000u) << 16));
#endif
}
/// Round to nearest, ties to even; too large becomes infinity; NaN stays NaN.
HEED_INLINE H to_float16(F value) {
#if defined(HEED_AVX512)
  return (H)_mm512_cvtps_ph((__m512)value, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
#elif defined(HEED_AVX2)
  return (H)_mm256_cvtps_ph((__m256)value, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
#else
  const U bits = (U)value & 0x7fffffffu;
  const U sign = ((U)value >> 16) & 0x8000u;
  // Normal results: round by integer addition. Subnormal results: adding 0.5 lets the adder round at 2^−24.
  const U normal = (bits - (112u << 23) + 0xfffu + ((bits >> 13) & 1u)) >> 13;
  const U subnormal = (U)(as_float(bits) + set1(0.5f)) - 0x3f000000u;
  const I large = (I)bits >= set1_int(0x477ff000);
  const I small = (I)bits < set1_int(113 << 23);
  const I nan = (I)bits > set1_int(0x7f800000);
  const U finite = small ? subnormal : normal;
  const U infinite = nan ? set1_uint(0x7e00u) : set1_uint(0x7c00u);
  return __builtin_convertvector((large ? infinite : finite) | sign, H);
#endif
}
HEED_INLINE F load_float16(const std::uint16_t* from) { return from_float16(load_half(from)); }
HEED_INLINE F load_float16(const std::uint16_t* from, int count) { return from_float16(load_half(from, count)); }
HEED_INLINE void store_float16(std::uint16_t* to, F value) { store_half(to, to_float16(value)); }
HEED_INLINE void store_float16(std::uint16_t* to, F value, int count) { store_half(to, to_float16(value), count); }

/// a·b + c, rounded once where the instruction set has it.
HEED_INLINE F fma(F a, F b, F c) {
#if defined(HEED_AVX512)
  return (F)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined(HEED_AVX2)
  return (F)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#else
  return a * b + c;
#endif
}
/// The larger; `b` where either is NaN (as the instruction does it).
HEED_INLINE F max(F a, F b) {
#if defined(HEED_AVX512)
  return (F)_mm512_max_ps((__m512)a, (__m512)b);
#elif defined(HEED_AVX2)
  return (F)_mm256_max_ps((__m256)a, (__m256)b);
#else
  return a > b ? a : b;
#endif
}
HEED_INLINE F min(F a, F b) {
#if defined(HEED_AVX512)
  return (F)_mm512_min_ps((__m512)a, (__m512)b);
#elif defined(HEED_AVX2)
  return (F)_mm256_min_ps((__m256)a, (__m256)b);
#else
  return a < b ? a : b;
#endif
}
HEED_INLINE F sqrt(F a) {
#if defined(HEED_AVX512)
  return (F)_mm512_sqrt_ps((__m512)a);
#elif defined(HEED_AVX2)
  return (F)_mm256_sqrt_ps((__m256)a);
#else
  for (int i = 0; i < lanes; ++i) a[i] = __builtin_sqrtf(a[i]);
  return a;
#endif
}
/// 1/x for normal numbers below 2^126, relative error about 2e-7: an estimate and one step of Newton's.
HEED_INLINE F reciprocal(F x) {
#if defined(HEED_AVX512)
  const F estimate = (F)_mm512_rcp14_ps((__m512)x);
#elif defined(HEED_AVX2)
  const F estimate = (F)_mm256_rcp_ps((__m256)x);
#else
  const F estimate = set1(1.0f) / x;
#endif
#if defined(HEED_AVX512) || defined(HEED_AVX2)
  return estimate * fma(-x, estimate, set1(2.0f));
#else
  return estimate;
#endif
}
/// mask ? a : b, lane by lane; mask lanes are 0 or −1 (what a comparison gives).
HEED_INLINE F select(I mask, F a, F b) { return mask ? a : b; }
HEED_INLINE F absolute(F a) { return (F)((U)a & 0x7fffffffu); }
HEED_INLINE F copy_sign(F magnitude, F sign) { return (F)(((U)magnitude & 0x7fffffffu) | ((U)sign & 0x80000000u)); }

/// The sum of all lanes, pairwise: the order is fixed, so the bits are.
HEED_INLINE float reduce_add(F a) {
#if defined(HEED_AVX512) || defined(HEED_AVX2)
#if defined(HEED_AVX512)
  const __m256 eight = _mm256_add_ps(_mm512_castps512_ps256((__m512)a), _mm512_extractf32x8_ps((__m512)a, 1));
#else
  const __m256 eight = (__m256)a;
#endif
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
#else
  return (a[0] + a[2]) + (a[1] + a[3]);
#endif
}
HEED_INLINE float reduce_max(F a) {
#if defined(HEED_AVX512) || defined(HEED_AVX2)
#if defined(HEED_AVX512)
  const __m256 eight = _mm256_max_ps(_mm512_castps512_ps256((__m512)a), _mm512_extractf32x8_ps((__m512)a, 1));
#else
  const __m256 eight = (__m256)a;
#endif
  const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
#else
  const float low = a[0] > a[2] ? a[0] : a[2], high = a[1] > a[3] ? a[1] : a[3];
  return low > high ? low : high;
#endif
}

/// The nearest whole number, ties to even; |x| < 2²².
HEED_INLINE F round_to_whole(F x) {
#if defined(HEED_AVX512)
  return (F)_mm512_roundscale_ps((__m512)x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
#elif defined(HEED_AVX2)
  return (F)_mm256_round_ps((__m256)x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
#else
  return (x + set1(12582912.0f)) - set1(12582912.0f);  // 1.5·2²³: no bits are left for a fraction
#endif
}
/// p·2ⁿ for whole n, where p and the result are normal numbers.
HEED_INLINE F times_power_of_two(F p, F n) {
#if defined(HEED_AVX512)
  return (F)_mm512_scalef_ps((__m512)p, (__m512)n);
#else
  return as_float((U)p + ((U) __builtin_convertvector(n, I) << 23));
#endif
}

/// 2^x, error about 1 unit in the last place; 0 below −126 (results are never subnormal), and from 128 on nearly 2¹²⁸.
/// NaN gives NaN.
HEED_INLINE F exp2(F x) {
  const F bounded = min(set1(127.99999f), x);  // x last: a NaN stays
  const F whole = round_to_whole(bounded);
  const F fraction = bounded - whole;  // [−0.5, 0.5]
  // Polynomial of 2^f on [−0.5, 0.5], degree 6: the coefficients of Cephes' exp2f (Moshier 1992).
  F p = set1(1.535336188319500e-4f);
  p = fma(p, fraction, set1(1.339887440266574e-3f));
  p = fma(p, fraction, set1(9.618437357674640e-3f));
  p = fma(p, fraction, set1(5.550332471162809e-2f));
  p = fma(p, fraction, set1(2.402264791363012e-1f));
  p = fma(p, fraction, set1(6.931472028550421e-1f));
  p = fma(p, fraction, set1(1.0f));
  // What lies below (−∞ makes a NaN on the way) is decided by the last choice.
  return select(x < set1(-126.0f), zero(), times_power_of_two(p, whole));
}
/// 2^x for x ≤ 0, for weights of a softmax: relative error 2e-7, half the work of exp2. −∞ gives 0; NaN gives NaN. The
/// polynomials of degree 5 are those of least relative error (Remez), 7.5e-8.
HEED_INLINE F exp2_of_negative(F x) {
#if defined(HEED_AVX512)
  const F f = (F)_mm512_reduce_ps((__m512)x, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);  // x − floor(x); 0 for −∞
  F p = set1(1.877576675e-3f);
  p = fma(p, f, set1(8.989340091e-3f));
  p = fma(p, f, set1(5.582631805e-2f));
  p = fma(p, f, set1(2.401536170e-1f));
  p = fma(p, f, set1(6.931530732e-1f));
  p = fma(p, f, set1(9.999999251e-1f));
  return times_power_of_two(p, x);  // the instruction rounds its second operand down
#else
  const F bounded = max(set1(-126.0f), x);  // x last: a NaN stays
  const F whole = round_to_whole(bounded);
  const F f = bounded - whole;
  F p = set1(1.327647199e-3f);
  p = fma(p, f, set1(9.675541334e-3f));
  p = fma(p, f, set1(5.550713273e-2f));
  p = fma(p, f, set1(2.402211972e-1f));
  p = fma(p, f, set1(6.931469671e-1f));
  p = fma(p, f, set1(1.0f));
  return select(x < set1(-126.0f), zero(), times_power_of_two(p, whole));
#endif
}
/// e^x, error about 1 unit in the last place; 0 below about −87.3 (results are never subnormal), and from 88.72 on
/// nearly 2¹²⁸. NaN gives NaN.
HEED_INLINE F exp(F x) {
  const F bounded = min(set1(88.722f), x);  // x last: a NaN stays
  const F whole = round_to_whole(bounded * set1(1.44269504088896f));
  // x − n·ln 2, in [−0.35, 0.35], with ln 2 in two parts: the first has 10 bits, so that its product is exact.
  F r = fma(whole, set1(-0.693359375f), bounded);
  r = fma(whole, set1(2.12194440e-4f), r);
  // The polynomial of degree 6 of least relative error there (Remez), with its first two coefficients rounded to 1.
  F p = set1(1.383683564e-3f);
  p = fma(p, r, set1(8.37482406e-3f));
  p = fma(p, r, set1(4.166822619e-2f));
  p = fma(p, r, set1(1.666642007e-1f));
  p = fma(p, r, set1(4.999999208e-1f));
  p = fma(p, r, set1(1.0f));
  p = fma(p, r, set1(1.0f));
  return select(x < set1(-87.3f), zero(), times_power_of_two(p, whole));
}

/// Natural logarithm of a normal positive number, error about 1 unit in the last place (Cephes' logf, Moshier 1992).
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
  return fma(__builtin_convertvector(exponent, F), set1(0.693147180559945309f),
             f + fma(p * f, square, set1(-0.5f) * square));
}

/// Hyperbolic tangent, relative error about 4e-7: an odd rational function of degrees 9 and 8, of least relative error
/// up to 9 (2e-8), where the tangent is 1 to rounding. Half the work of exp and a polynomial near 0.
HEED_INLINE F tanh(F x) {
  const F bounded = max(set1(-9.0f), min(set1(9.0f), x));  // x last: a NaN stays, and ±9 gives ±1
  const F square = bounded * bounded;
  F p = set1(1.335467123e-8f);
  p = fma(p, square, set1(2.060908946e-5f));
  p = fma(p, square, set1(3.495588558e-3f));
  p = fma(p, square, set1(1.338102600e-1f));
  p = fma(p, square, set1(9.999999795e-1f));
  F q = set1(7.776562332e-7f);
  q = fma(q, square, set1(3.285635527e-4f));
  q = fma(q, square, set1(2.587698382e-2f));
  q = fma(q, square, set1(4.671434159e-1f));
  q = fma(q, square, set1(1.0f));
  return select(absolute(x) < set1(9.0f), bounded * p / q, copy_sign(bounded * set1(1.0f / 9.0f), x));
}

struct Normal {
  F density;     ///< φ(x) = exp(−x²/2) / sqrt(2π)
  F cumulative;  ///< Φ(x), the share below x: half of erfc(−x/sqrt(2))
};
/// The standard normal distribution, with a relative error of a few 1e-7, in the lower tail too as far as exp reaches
/// (there the rounding of x² is added: 1e-7·x²).
HEED_INLINE Normal normal(F x) {
  const F square = x * x;
  const F e = exp(set1(-0.5f) * square);
  // Near 0, Taylor's series of (Φ(x) − 1/2)/x in x²: (−1)ᵏ / (sqrt(2π) · 2ᵏ · k! · (2k + 1)).
  F series = set1(-9.44465616e-6f);
  series = fma(series, square, set1(1.15434687e-4f));
  series = fma(series, square, set1(-1.18732822e-3f));
  series = fma(series, square, set1(9.97355701e-3f));
  series = fma(series, square, set1(-6.64903801e-2f));
  series = fma(series, square, set1(3.98942280e-1f));
  const F near = fma(series, x, set1(0.5f));
  // Farther out exp(x²/2)·Φ(−|x|), which is smooth: a polynomial of degree 9 in s = 1/(1 + 0.28|x|), of least relative
  // error (Remez), 1.1e-7.
  const F s = set1(1.0f) / fma(set1(0.28f), absolute(x), set1(1.0f));
  F p = set1(-5.453305322e-8f);
  p = fma(p, s, set1(2.55833983e-2f));
  p = fma(p, s, set1(-9.699799957e-2f));
  p = fma(p, s, set1(9.792284253e-2f));
  p = fma(p, s, set1(-1.112579986e-2f));
  p = fma(p, s, set1(7.503023105e-2f));
  p = fma(p, s, set1(8.301533209e-2f));
  p = fma(p, s, set1(1.031741898e-1f));
  p = fma(p, s, set1(1.116938005e-1f));
  p = fma(p, s, set1(1.117039871e-1f));
  const F tail = p * s * e;
  const F far = select(x > zero(), set1(1.0f) - tail, tail);
  return {set1(0.3989422804f) * e, select(absolute(x) < set1(0.75f), near, far)};
}

}  // namespace heed::HEED_ISA
