#include <gtest/gtest.h>
#include <heed/random.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <set>

namespace heed {
namespace {

// The statistic of Pearson for equally likely cells, as a number of standard deviations from what chance gives.
template <std::size_t cells>
double deviation_from_uniform(const std::array<int, cells>& counts) {
  double draws = 0;
  for (const int count : counts) draws += count;
  double statistic = 0;
  for (const int count : counts) statistic += (count - draws / cells) * (count - draws / cells) / (draws / cells);
  return (statistic - (cells - 1)) / std::sqrt(2.0 * (cells - 1));
}
constexpr double chance = 5;  // standard deviations that no fair generator reaches in a test run
constexpr int draws = 1 << 18;

TEST(Random, IsAFunctionOfItsCoordinates) {
  constexpr RandomKey key = RandomKey{42}.fold(3).fold(5);
  static_assert(bits(key, 7) == bits(RandomKey{42}.fold(3).fold(5), 7));
  static_assert(key != RandomKey{42}.fold(5).fold(3));
  static_assert(RandomKey{42}.fold(0) != RandomKey{42});
  static_assert(RandomKey{0}.fold(0) != RandomKey{0});
}

TEST(Random, StaysTheSameFromVersionToVersion) {
  // The first numbers of SplitMix64 seeded with 1234567, as its authors' program gives them.
  EXPECT_EQ(bits64(RandomKey{1234567}, 0), 6457827717110365317u);
  EXPECT_EQ(bits64(RandomKey{1234567}, 1), 3203168211198807973u);
}

TEST(Random, UniformFillsTheUnitIntervalEvenly) {
  std::array<int, 256> counts{};
  for (std::uint64_t i = 0; i < draws; ++i) {
    const float value = uniform(RandomKey{1}, i);
    ASSERT_TRUE(value >= 0 && value < 1);
    ++counts[static_cast<std::size_t>(value * 256)];
  }
  EXPECT_LT(std::abs(deviation_from_uniform(counts)), chance);
}

TEST(Random, HashIsUniformInItsHighLowAndMiddleBits) {
  for (const int shift : {0, 12, 24}) {
    std::array<int, 256> counts{};
    for (std::uint32_t i = 0; i < draws; ++i) ++counts[(hash32(RandomKey{9}.fold(2), i) >> shift) & 255];
    EXPECT_LT(std::abs(deviation_from_uniform(counts)), chance) << shift;
  }
}

TEST(Random, NeighbouringDrawsAreIndependent) {
  std::array<int, 256> pairs{};
  std::array<int, 256> hashed{};
  for (std::uint32_t i = 0; i < draws; ++i) {
    ++pairs[(bits(RandomKey{3}, i) >> 28) * 16 + (bits(RandomKey{3}, i + 1) >> 28)];
    ++hashed[(hash32(RandomKey{3}, i) >> 28) * 16 + (hash32(RandomKey{3}, i + 1) >> 28)];
  }
  EXPECT_LT(std::abs(deviation_from_uniform(pairs)), chance);
  EXPECT_LT(std::abs(deviation_from_uniform(hashed)), chance);
}

// Bits that agree between the same draws of two keys: half of them, if the keys have nothing to do with one another.
TEST(Random, DifferentKeysHaveNothingInCommon) {
  const RandomKey key{5};
  const double bits_compared = 32.0 * draws;
  for (std::uint64_t coordinate = 0; coordinate < 8; ++coordinate) {
    double agreeing = 0;
    double hashes_agreeing = 0;
    for (std::uint32_t i = 0; i < draws; ++i) {
      const RandomKey one = key.fold(coordinate);
      const RandomKey other = key.fold(coordinate + 1);
      agreeing += std::popcount(~(bits(one, i) ^ bits(other, i)));
      hashes_agreeing += std::popcount(~(hash32(one, i) ^ hash32(other, i)));
    }
    EXPECT_NEAR(agreeing, bits_compared / 2, chance * std::sqrt(bits_compared) / 2);
    EXPECT_NEAR(hashes_agreeing, bits_compared / 2, chance * std::sqrt(bits_compared) / 2);
  }
}

TEST(Random, NormalHasTheMomentsOfTheNormalDistribution) {
  double sum = 0;
  double squares = 0;
  double cubes = 0;
  double fourths = 0;
  for (std::uint64_t i = 0; i < draws; ++i) {
    const double x = normal(RandomKey{8}, i);
    sum += x;
    squares += x * x;
    cubes += x * x * x;
    fourths += x * x * x * x;
  }
  const double error = chance / std::sqrt(draws);  // the variances of x, x², x³, x⁴ are 1, 2, 15, 96
  EXPECT_NEAR(sum / draws, 0, error);
  EXPECT_NEAR(squares / draws, 1, error * std::sqrt(2.0));
  EXPECT_NEAR(cubes / draws, 0, error * std::sqrt(15.0));
  EXPECT_NEAR(fourths / draws, 3, error * std::sqrt(96.0));
}

TEST(Random, UniformIndexIsEvenAndBelowItsBound) {
  std::array<int, 7> counts{};
  for (std::uint64_t i = 0; i < draws; ++i) ++counts.at(static_cast<std::size_t>(uniform_index(RandomKey{2}, i, 7)));
  EXPECT_LT(std::abs(deviation_from_uniform(counts)), chance);
  EXPECT_EQ(uniform_index(RandomKey{2}, 0, 1), 0);
  EXPECT_LT(uniform_index(RandomKey{2}, 0, INT64_MAX), INT64_MAX);
}

TEST(Random, PermutationHoldsEveryNumberOnce) {
  for (const std::int64_t count : {0, 1, 2, 1000}) {
    std::vector<std::int64_t> order = permutation(RandomKey{4}, count);
    std::sort(order.begin(), order.end());
    for (std::int64_t i = 0; i < count; ++i) ASSERT_EQ(order[static_cast<std::size_t>(i)], i);
  }
  EXPECT_EQ(permutation(RandomKey{4}, 50), permutation(RandomKey{4}, 50));
  EXPECT_NE(permutation(RandomKey{4}, 50), permutation(RandomKey{5}, 50));
}

TEST(Random, EveryOrderOfAShuffleIsEquallyLikely) {
  std::array<int, 24> counts{};
  std::array<int, 4> order{0, 1, 2, 3};
  for (std::uint64_t i = 0; i < 48000; ++i) {
    std::array<int, 4> shuffled = order;
    shuffle(RandomKey{6}.fold(i), shuffled);
    int rank = 0;  // place in the list of all orders: for each element, how many smaller ones stand behind it
    for (std::size_t j = 0; j < 4; ++j) {
      int smaller = 0;
      for (std::size_t k = j + 1; k < 4; ++k) smaller += shuffled[k] < shuffled[j];
      rank = rank * static_cast<int>(4 - j) + smaller;
    }
    ++counts.at(static_cast<std::size_t>(rank));
  }
  EXPECT_LT(std::abs(deviation_from_uniform(counts)), chance);
}

}  // namespace
}  // namespace heed
