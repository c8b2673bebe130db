// The portable vectors, in a namespace of their own; the other instruction sets are seen through the kernels.
#define HEED_ISA vector_math_test
#include <gtest/gtest.h>
#include <heed/dtype.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "simd/vector.h"
#include "support/tolerance.h"

namespace heed::HEED_ISA {
namespace {

/// The largest error of f over floats from `low` to `high`, in units of the last place of the true value.
template <class Function, class Truth>
double largest_error(float low, float high, Function&& f, Truth&& truth) {
  double largest = 0.0;
  const int steps = 200000;
  for (int i = 0; i <= steps; i += lanes) {
    F x;
    for (int k = 0; k < lanes; ++k)
      x[k] = low + (high - low) * (static_cast<float>(i + k) / static_cast<float>(steps + lanes));
    const F y = f(x);
    for (int k = 0; k < lanes; ++k) {
      const double expected = truth(static_cast<double>(x[k]));
      const double unit = std::ldexp(1.0, std::max(std::ilogb(expected), -126) - 23);  // of 0: a subnormal's
      largest = std::fmax(largest, std::fabs(static_cast<double>(y[k]) - expected) / unit);
    }
  }
  return largest;
}

TEST(VectorMath, ExpIsWithinTwoUnits) {
  const auto f = [](F x) { return exp(x); };
  const auto truth = [](double x) { return std::exp(x); };
  EXPECT_LT(largest_error(-87.2f, 88.72f, f, truth), 2.0);
  EXPECT_LT(largest_error(-1.0f, 1.0f, f, truth), 1.5);
}

TEST(VectorMath, ExpAtItsEnds) {
  const float infinity = std::numeric_limits<float>::infinity();
  EXPECT_EQ(exp(set1(0.0f))[0], 1.0f);
  EXPECT_EQ(exp(set1(-infinity))[0], 0.0f);
  EXPECT_EQ(exp(set1(-100.0f))[0], 0.0f);
  EXPECT_GT(exp(set1(infinity))[0], 3.3e38f);
  EXPECT_TRUE(std::isnan(exp(set1(std::nanf("")))[0]));
  EXPECT_TRUE(std::isnan(exp(set1(-std::nanf("")))[0]));
  EXPECT_TRUE(std::isnan(exp2(set1(std::nanf("")))[0]));
  EXPECT_TRUE(std::isnan(tanh(set1(std::nanf("")))[0]));
  EXPECT_TRUE(std::isnan(normal(set1(std::nanf(""))).cumulative[0]));
}

TEST(VectorMath, Exp2IsWithinTwoUnits) {
  const auto f = [](F x) { return exp2(x); };
  const auto truth = [](double x) { return std::exp2(x); };
  EXPECT_LT(largest_error(-126.0f, 127.9f, f, truth), 2.0);
  EXPECT_EQ(exp2(set1(0.0f))[0], 1.0f);
  EXPECT_EQ(exp2(set1(-std::numeric_limits<float>::infinity()))[0], 0.0f);
}

TEST(VectorMath, TanhIsWithinSixUnits) {
  const auto f = [](F x) { return tanh(x); };
  const auto truth = [](double x) { return std::tanh(x); };
  EXPECT_LT(largest_error(-12.0f, 12.0f, f, truth), 6.0);
  EXPECT_LT(largest_error(1e-8f, 0.7f, f, truth), 6.0);
  EXPECT_EQ(tanh(set1(0.0f))[0], 0.0f);
  EXPECT_EQ(tanh(set1(std::numeric_limits<float>::infinity()))[0], 1.0f);
}

TEST(VectorMath, NormalDistributionIsWithinAFewUnits) {
  const auto cumulative = [](F x) { return normal(x).cumulative; };
  const auto truth = [](double x) { return 0.5 * std::erfc(-x / std::sqrt(2.0)); };
  EXPECT_LT(largest_error(-0.75f, 9.0f, cumulative, truth), 4.0);
  EXPECT_LT(largest_error(-3.0f, -0.75f, cumulative, truth), 12.0);
  // In the tail the rounding of x²/2 is magnified: half a unit of it for every unit in x²/2 = 32.
  EXPECT_LT(largest_error(-8.0f, -3.0f, cumulative, truth), 12.0 + 32.0);
  EXPECT_EQ(normal(set1(-std::numeric_limits<float>::infinity())).cumulative[0], 0.0f);
  EXPECT_EQ(normal(set1(std::numeric_limits<float>::infinity())).cumulative[0], 1.0f);
}

TEST(VectorMath, BfloatsAreRoundedAsTheTypeRoundsThem) {
  for (std::uint32_t i = 0; i < (1u << 20); i += lanes) {
    F x;
    for (std::uint32_t k = 0; k < lanes; ++k) {
      const std::uint32_t bits = (i + k) * 4099u;  // odd: every pattern of the low 20 bits comes up
      float value;
      std::memcpy(&value, &bits, sizeof value);
      x[static_cast<int>(k)] = value;
    }
    const H rounded = to_bfloat16(x);
    for (int k = 0; k < lanes; ++k) ASSERT_EQ(rounded[k], bfloat16(x[k]).bits) << x[k];
  }
}

TEST(VectorMath, HalvesAreReadAndRoundedAsTheTypeDoes) {
  for (std::uint32_t i = 0; i < (1u << 16); i += lanes) {
    H bits;
    for (std::uint32_t k = 0; k < lanes; ++k) bits[static_cast<int>(k)] = static_cast<std::uint16_t>(i + k);
    const F wide = from_float16(bits);
    const F moved = wide * set1(1.0003f);
    const H rounded = to_float16(moved);
    for (int k = 0; k < lanes; ++k) {
      float16 half;
      half.bits = bits[k];
      const auto expected = static_cast<float>(half);
      if (std::isnan(expected)) {
        ASSERT_TRUE(std::isnan(wide[k]));
        continue;
      }
      ASSERT_EQ(wide[k], expected);
      ASSERT_EQ(rounded[k], float16(moved[k]).bits) << moved[k];
    }
  }
}

}  // namespace
}  // namespace heed::HEED_ISA
