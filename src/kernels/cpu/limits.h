#pragma once
#include <cstdint>

namespace heed::kernels {

/// Loops that do one thing as fast as the processor can. Their results have no meaning but must be kept.
struct LimitKernels {
  /// `rounds` times 12 independent multiply-adds.
  float (*float32)(std::int64_t rounds) noexcept;
  float (*bfloat16)(std::int64_t rounds) noexcept;
  float (*int8)(std::int64_t rounds) noexcept;
  /// Operations in a round.
  std::int64_t float32_operations, bfloat16_operations, int8_operations;
  /// Reads `count` floats (a multiple of 128) `times` over.
  float (*read)(const float* from, std::int64_t count, std::int64_t times) noexcept;
};

}  // namespace heed::kernels
