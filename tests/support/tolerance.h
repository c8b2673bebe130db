#pragma once
// Tolerances from norms and epsilon: a test says what was summed (`scale`) and how many roundings it may have cost
// (`factor`), never an absolute number of its own.
#include <gtest/gtest.h>
#include <heed/dtype.h>

#include <cmath>

namespace heed::test {

/// The largest relative error of rounding to nearest: 2^−p for a significand of p bits.
inline double unit_roundoff(DType dtype) {
  switch (dtype) {
    case DType::float64:
      return 0x1p-53;
    case DType::float16:
      return 0x1p-11;
    case DType::bfloat16:
      return 0x1p-8;
    default:
      return 0x1p-24;
  }
}

/// |actual − expected| ≤ factor · 2⁻²⁴ · scale, for a value computed in float32 from terms whose magnitudes add up to
/// `scale` (an upper bound of the intermediate results); and one rounding more when it was stored as `stored`.
/// Infinities equal themselves, NaN equals NaN.
inline ::testing::AssertionResult close(double actual, double expected, double scale, double factor,
                                        DType stored = DType::float32) {
  if (std::isnan(expected) && std::isnan(actual)) return ::testing::AssertionSuccess();
  if (actual == expected) return ::testing::AssertionSuccess();
  const double tiny = stored == DType::float16 ? 0x1p-25 : 0x1p-126;  // half of the smallest number, or what is flushed
  const double rounding = stored == DType::float32 ? 0.0 : unit_roundoff(stored) * std::fabs(expected) * 1.001;
  const double allowed = factor * unit_roundoff(DType::float32) * scale + rounding + tiny;
  const double error = std::fabs(actual - expected);
  if (error <= allowed) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << actual << " instead of " << expected << ": off by " << error << ", allowed "
                                       << allowed << " (" << factor << " roundings of " << scale << ")";
}

inline void expect_close(double actual, double expected, double scale, double factor, DType stored = DType::float32) {
  EXPECT_TRUE(close(actual, expected, scale, factor, stored));
}

}  // namespace heed::test
