#include "kernels/cpu/limits.h"

#include "simd/vector.h"

namespace heed::HEED_ISA {

namespace {

constexpr int chains = 12;  // enough to hide the latency of any multiply-add; with two factors they fill 16 registers

float float32_rounds(std::int64_t rounds) noexcept {
  F sum[chains];
  HEED_UNROLL for (int i = 0; i < chains; ++i) sum[i] = set1(1.0f + static_cast<float>(i));
  const F a = set1(0.999f), b = set1(0.001f);
  for (std::int64_t round = 0; round < rounds; ++round)
    HEED_UNROLL for (int i = 0; i < chains; ++i) sum[i] = fma(sum[i], a, b);
  F all = zero();
  HEED_UNROLL for (int i = 0; i < chains; ++i) all += sum[i];
  return reduce_add(all);
}

#if defined(HEED_ISA_IS_avx512_bf16)
constexpr std::int64_t bfloat16_operations = chains * 4 * lanes;
float bfloat16_rounds(std::int64_t rounds) noexcept {
  F sum[chains];
  HEED_UNROLL for (int i = 0; i < chains; ++i) sum[i] = set1(1.0f + static_cast<float>(i));
  const __m512bh a = (__m512bh)set1_uint(0x3c003c00u);
  for (std::int64_t round = 0; round < rounds; ++round)
    HEED_UNROLL for (int i = 0; i < chains; ++i) sum[i] = (F)_mm512_dpbf16_ps((__m512)sum[i], a, a);
  F all = zero();
  HEED_UNROLL for (int i = 0; i < chains; ++i) all += sum[i];
  return reduce_add(all);
}
#else
constexpr std::int64_t bfloat16_operations = chains * 2 * lanes;
constexpr auto bfloat16_rounds = float32_rounds;
#endif

#if defined(HEED_ISA_IS_avx512_bf16)
constexpr std::int64_t int8_operations = chains * 8 * lanes;
HEED_INLINE I multiply_add_int8(I a, I sum) { return (I)_mm512_dpbusd_epi32((__m512i)sum, (__m512i)a, (__m512i)a); }
#elif defined(HEED_AVX512)
constexpr std::int64_t int8_operations = chains * 8 * lanes;
HEED_INLINE I multiply_add_int8(I a, I sum) {
  const __m512i pairs = _mm512_maddubs_epi16((__m512i)sum, (__m512i)a);
  return (I)_mm512_add_epi32((__m512i)sum, _mm512_madd_epi16(pairs, _mm512_set1_epi16(1)));
}
#elif defined(HEED_AVX2)
constexpr std::int64_t int8_operations = chains * 8 * lanes;
HEED_INLINE I multiply_add_int8(I a, I sum) {
  const __m256i pairs = _mm256_maddubs_epi16((__m256i)sum, (__m256i)a);
  return (I)_mm256_add_epi32((__m256i)sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}
#else
constexpr std::int64_t int8_operations = chains * 2 * lanes;
HEED_INLINE I multiply_add_int8(I a, I sum) { return (I)((U)sum * (U)a + (U)a); }
#endif
float int8_rounds(std::int64_t rounds) noexcept {
  I sum[chains];
  HEED_UNROLL for (int i = 0; i < chains; ++i) sum[i] = set1_int(i);
  const I a = set1_int(0x01010101);
  for (std::int64_t round = 0; round < rounds; ++round)
    HEED_UNROLL for (int i = 0; i < chains; ++i) sum[i] = multiply_add_int8(a, sum[i]);
  F all = zero();
  HEED_UNROLL for (int i = 0; i < chains; ++i) all += as_float(sum[i]);
  return reduce_add(all);
}

float read(const float* from, std::int64_t count, std::int64_t times) noexcept {
  constexpr int streams = 8;
  F sum[streams];
  HEED_UNROLL for (int s = 0; s < streams; ++s) sum[s] = zero();
  for (std::int64_t time = 0; time < times; ++time)
    for (std::int64_t i = 0; i < count; i += streams * lanes)
      HEED_UNROLL for (int s = 0; s < streams; ++s) sum[s] += load(from + i + s * lanes);
  F all = zero();
  HEED_UNROLL for (int s = 0; s < streams; ++s) all += sum[s];
  return reduce_add(all);
}

}  // namespace

extern const kernels::LimitKernels limit_kernels;
const kernels::LimitKernels limit_kernels = {float32_rounds,      bfloat16_rounds, int8_rounds, chains * 2 * lanes,
                                             bfloat16_operations, int8_operations, read};

}  // namespace heed::HEED_ISA
