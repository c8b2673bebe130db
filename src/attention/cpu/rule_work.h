#pragma once
// What the evaluator of rules and its lookups share: the domain of an instruction and where its operands lie.
#include "attention/cpu/rules.h"
#include "simd/vector.h"

namespace heed::HEED_ISA::rules {

using attention::Along;
using attention::RowCode;
using attention::RowGradient;
using attention::RowInstruction;
using attention::RowLookup;
using attention::RowMemory;
using attention::RowValue;
using attention::Strip;

/// Of any bits, those of conditions included: no arithmetic.
HEED_INLINE F broadcast(const float* from) {
  std::int32_t bits;
  __builtin_memcpy(&bits, from, sizeof bits);
  return as_float(set1_int(bits));
}

HEED_INLINE F floor(F x) {
#if defined(HEED_AVX512)
  return (F)_mm512_roundscale_ps((__m512)x, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
#elif defined(HEED_AVX2)
  return (F)_mm256_floor_ps((__m256)x);
#else
  const F whole = __builtin_convertvector(__builtin_convertvector(x, I), F);  // towards zero
  const F lower = select(whole > x, whole - set1(1.0f), whole);
  return select(absolute(x) < set1(8388608.0f), lower, x);  // larger ones are whole
#endif
}

/// The rows and lanes that an instruction goes over.
struct Domain {
  Along stage;
  int first;  ///< row of the strip
  int rows, lanes_used;
};

/// A strip's code at work.
struct Work {
  const RowCode& code;
  const Strip& strip;
  float* scores;
  float* second;
  std::int64_t chunk_stride;

  float* memory(const RowValue& value, const Domain& domain) const {
    const std::int64_t first = domain.stage == Along::both ? domain.first : 0;
    switch (value.memory) {
      case RowMemory::scores:
        return scores + first * strip.stride;
      case RowMemory::second:
        return second + first * strip.stride;
      case RowMemory::constants:
        return const_cast<float*>(code.constants) + value.offset;
      default:
        return strip.scratch + value.offset + (value.along == Along::rows ? first : 0);
    }
  }
  std::int64_t row_step(const RowValue& value) const {
    if (value.along == Along::rows) return 1;
    if (value.along != Along::both) return 0;
    return value.memory == RowMemory::scratch ? chunk_stride : strip.stride;
  }
};

/// Where an operand's row begins, and whether its lanes differ.
struct Source {
  const float* data = nullptr;
  std::int64_t step = 0;
  bool vector = true;

  Source() = default;
  Source(const Work& work, const RowValue& value, const Domain& domain)
      : data(work.memory(value, domain)), step(domain.stage == Along::both ? work.row_step(value) : 0) {
    if (domain.stage == Along::both)
      vector = value.along == Along::lanes || value.along == Along::both;
    else
      vector = value.along == domain.stage;
  }
};

}  // namespace heed::HEED_ISA::rules
