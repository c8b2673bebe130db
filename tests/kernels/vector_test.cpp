// The portable vectors, in a namespace of their own; and through the kernel that converts, those of every instruction
// set.
#define HEED_ISA vector_test
#include "simd/vector.h"

#include <gtest/gtest.h>
#include <heed/tensor.h>
#include <heed/thread_pool.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

#include "kernels/dispatch.h"
#include "kernels/rows.h"

namespace heed::HEED_ISA {
namespace {

/// f with every available instruction set in use, which is then put back.
template <class Function>
void on_every_instruction_set(Function&& f) {
  const kernels::InstructionSet before = kernels::chosen();
  for (const kernels::InstructionSet set : kernels::available()) {
    SCOPED_TRACE(kernels::name_of(set));
    kernels::use(set);
    f();
  }
  kernels::use(before);
}

template <class T>
View view(std::vector<T>& elements, DType dtype) {
  const auto count = static_cast<std::int64_t>(elements.size());
  return {elements.data(), dtype, 1, count, count};
}

bool same(float a, float b) {
  return (std::isnan(a) && std::isnan(b)) || std::bit_cast<std::uint32_t>(a) == std::bit_cast<std::uint32_t>(b);
}

/// Floats of every kind: random bits, and all those between two neighbours of the half type, and their middles.
template <class Half>
std::vector<float> floats_that_round_in_every_way() {
  std::vector<float> values;
  for (std::uint32_t bits = 0; bits < 65536; ++bits) {
    Half half;
    half.bits = static_cast<std::uint16_t>(bits);
    const float value = static_cast<float>(half);
    half.bits = static_cast<std::uint16_t>(bits ^ 1u);
    const float middle = 0.5f * value + 0.5f * static_cast<float>(half);
    const float infinity = std::numeric_limits<float>::infinity();
    for (const float each : {value, middle, std::nextafter(middle, infinity), std::nextafter(middle, -infinity)})
      values.push_back(each);
  }
  std::mt19937 random(5);
  for (int i = 0; i < 100001; ++i) values.push_back(std::bit_cast<float>(static_cast<std::uint32_t>(random())));
  return values;
}

template <class Half>
void expect_conversions(DType dtype, float smallest_normal) {
  ThreadPool pool(1);
  std::vector<Half> halves(65536);
  for (std::uint32_t bits = 0; bits < 65536; ++bits) halves[bits].bits = static_cast<std::uint16_t>(bits);
  std::vector<float> wide(65536);
  kernels::convert(view(halves, dtype), view(wide, DType::float32), pool);
  for (std::uint32_t bits = 0; bits < 65536; ++bits)
    ASSERT_TRUE(same(wide[bits], static_cast<float>(halves[bits]))) << bits << " gives " << wide[bits];

  std::vector<float> values = floats_that_round_in_every_way<Half>();
  std::vector<Half> rounded(values.size());
  kernels::convert(view(values, DType::float32), view(rounded, dtype), pool);
  for (std::size_t i = 0; i < values.size(); ++i) {
    const float expected = static_cast<float>(Half(values[i]));
    const float actual = static_cast<float>(rounded[i]);
    // Instructions for bfloat16 take subnormal numbers for zero.
    if (std::abs(values[i]) < smallest_normal && actual == 0.0f) continue;
    ASSERT_TRUE(same(actual, expected)) << values[i] << " gives " << actual << ", expected " << expected;
  }
}

TEST(Vector, Float16ConvertsAsIeeeSaysOnEveryInstructionSet) {
  on_every_instruction_set([] { expect_conversions<float16>(DType::float16, 0.0f); });
}

TEST(Vector, BFloat16RoundsToTheNearestEvenOnEveryInstructionSet) {
  on_every_instruction_set([] { expect_conversions<bfloat16>(DType::bfloat16, std::numeric_limits<float>::min()); });
}

TEST(Vector, PartsOfAVectorAreReadAndWrittenAlone) {
  for (int count = 0; count <= lanes; ++count) {
    std::vector<float> from(static_cast<std::size_t>(count), 3.0f), to(static_cast<std::size_t>(lanes) + 1, 7.0f);
    const F value = load(from.data(), count);  // the address sanitizer sees an element too many
    store(to.data(), value + set1(1.0f), count);
    for (int i = 0; i < lanes; ++i) EXPECT_EQ(value[i], i < count ? 3.0f : 0.0f);
    for (int i = 0; i <= lanes; ++i) EXPECT_EQ(to[static_cast<std::size_t>(i)], i < count ? 4.0f : 7.0f);

    std::vector<std::uint16_t> halves(static_cast<std::size_t>(count), bfloat16(3.0f).bits);
    const F widened = load_bfloat16(halves.data(), count);
    for (int i = 0; i < lanes; ++i) EXPECT_EQ(widened[i], i < count ? 3.0f : 0.0f);
    std::vector<std::uint16_t> narrowed(static_cast<std::size_t>(lanes), 9);
    store_float16(narrowed.data(), widened, count);
    for (int i = 0; i < lanes; ++i)
      EXPECT_EQ(narrowed[static_cast<std::size_t>(i)], i < count ? float16(3.0f).bits : 9);
  }
}

TEST(Vector, ReductionsTakeEveryLane) {
  F value;
  float sum = 0.0f;
  for (int i = 0; i < lanes; ++i) sum += value[i] = static_cast<float>(i * i + 1);
  EXPECT_EQ(reduce_add(value), sum);
  EXPECT_EQ(reduce_max(value), value[lanes - 1]);
  EXPECT_EQ(reduce_max(zero() - value), -1.0f);
}

TEST(Vector, NegativeZeroStaysNegative) { EXPECT_TRUE(std::signbit(set1(-0.0f)[0])); }

}  // namespace
}  // namespace heed::HEED_ISA
