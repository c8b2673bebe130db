#include <gtest/gtest.h>
#include <heed/dtype.h>
#include <heed/error.h>

#include <cmath>
#include <limits>

#include "tensor/half.h"

namespace heed {
namespace {

float16 half_with(std::uint16_t bits) {
  float16 half;
  half.bits = bits;
  return half;
}

// What a binary16 means, from the definition of IEEE 754.
double value_of(std::uint16_t bits) {
  const double sign = bits & 0x8000 ? -1 : 1;
  const int exponent = (bits >> 10) & 31;
  const int fraction = bits & 0x3ff;
  if (exponent == 31) return fraction ? std::numeric_limits<double>::quiet_NaN() : sign * HUGE_VAL;
  if (exponent == 0) return sign * std::ldexp(fraction, -24);
  return sign * std::ldexp(1024 + fraction, exponent - 25);
}

TEST(DType, NamesAndSizesEveryType) {
  EXPECT_EQ(name_of(DType::bfloat16), "bfloat16");
  EXPECT_EQ(name_of(DType::q4), "q4");
  EXPECT_EQ(size_of(DType::float64), 8);
  EXPECT_EQ(size_of(DType::float32), 4);
  EXPECT_EQ(size_of(DType::float16), 2);
  EXPECT_EQ(size_of(DType::boolean), 1);
  EXPECT_EQ(size_of(DType::int64), 8);
}

TEST(DType, BlockEncodingsHaveNoSizeOfAnElement) {
  EXPECT_THROW(size_of(DType::q8), Error);
  EXPECT_THROW(size_of(DType::q4), Error);
}

TEST(Float16, EveryPatternReadsAsItsDefinitionAndComesBack) {
  for (int pattern = 0; pattern < 65536; ++pattern) {
    const auto bits = static_cast<std::uint16_t>(pattern);
    const auto value = static_cast<float>(half_with(bits));
    if (std::isnan(value_of(bits))) {
      ASSERT_TRUE(std::isnan(value)) << pattern;
      ASSERT_TRUE(std::isnan(static_cast<float>(float16(value)))) << pattern;
    } else {
      ASSERT_EQ(value, value_of(bits)) << pattern;
      ASSERT_EQ(float16(value).bits, bits) << pattern;
    }
  }
}

TEST(Float16, RoundsToNearestWithTiesToEvenBetweenAllNeighbours) {
  for (std::uint16_t low = 0; low < 0x7c00; ++low) {
    const auto high = static_cast<std::uint16_t>(low + 1);
    const double upper = high == 0x7c00 ? 65536.0 : value_of(high);  // an infinity begins half a step above the largest
    const auto middle = static_cast<float>((value_of(low) + upper) / 2);
    const std::uint16_t even = low & 1 ? high : low;
    ASSERT_EQ(float16(middle).bits, even) << low;
    ASSERT_EQ(float16(std::nextafter(middle, 0.0f)).bits, low) << low;
    ASSERT_EQ(float16(std::nextafter(middle, 1e9f)).bits, high) << low;
    ASSERT_EQ(float16(-middle).bits, even | 0x8000) << low;
  }
}

TEST(Float16, KeepsInfinitiesAndTheSignOfZero) {
  EXPECT_EQ(float16(-0.0f).bits, 0x8000);
  EXPECT_EQ(float16(HUGE_VALF).bits, 0x7c00);
  EXPECT_EQ(float16(-1e30f).bits, 0xfc00);
}

TEST(BFloat16, RoundsToNearestWithTiesToEvenAndKeepsNaN) {
  EXPECT_EQ(bfloat16(1.0f + 0x1p-8f).bits, 0x3f80);      // a tie goes to the even neighbour below
  EXPECT_EQ(bfloat16(1.0f + 3 * 0x1p-8f).bits, 0x3f82);  // and to the even one above
  EXPECT_EQ(bfloat16(1.0f + 0x1.02p-8f).bits, 0x3f81);   // anything more goes up
  EXPECT_EQ(bfloat16(std::numeric_limits<float>::max()).bits, 0x7f80);
  EXPECT_TRUE(std::isnan(static_cast<float>(bfloat16(std::bit_cast<float>(0x7f800001u)))));
}

TEST(OddRounding, LetsADoubleReachSixteenBitsWithOneRounding) {
  const double just_above_a_tie = 1.0 + 0x1p-11 + 0x1p-50;  // float32 alone would make a tie of it, and round down
  EXPECT_EQ(half_of_float(static_cast<float>(just_above_a_tie)), 0x3c00);
  EXPECT_EQ(half_of_float(odd_float_of(just_above_a_tie)), 0x3c01);
  EXPECT_EQ(odd_float_of(0.5), 0.5f);
  EXPECT_EQ(half_of_float(odd_float_of(-1e300)), 0xfc00);
  EXPECT_EQ(half_of_float(odd_float_of(1e-300)), 0x0000);
  EXPECT_TRUE(std::isnan(odd_float_of(std::nan(""))));
}

}  // namespace
}  // namespace heed
