#include "decode/sampling.h"

#include <gtest/gtest.h>
#include <heed/error.h>

#include <cmath>
#include <limits>
#include <map>

namespace heed {
namespace {

constexpr float nothing = -std::numeric_limits<float>::infinity();
using Row = std::vector<float>;

GenerationConfig sampling() {
  GenerationConfig config;
  config.sample = true;
  return config;
}

Row logarithms(std::initializer_list<double> probabilities) {
  Row row;
  for (const double p : probabilities) row.push_back(static_cast<float>(std::log(p)));
  return row;
}

std::map<std::int32_t, double> passing(const GenerationConfig& config, const Row& logits,
                                       std::vector<std::int32_t> seen = {}) {
  Sampler sampler(config);
  std::map<std::int32_t, double> result;
  for (const auto& [token, probability] : sampler.candidates(logits, seen)) result[token] = probability;
  return result;
}

void expect_passing(const GenerationConfig& config, const Row& logits, const std::map<std::int32_t, double>& expected) {
  const auto given = passing(config, logits);
  ASSERT_EQ(given.size(), expected.size());
  for (const auto& [token, probability] : expected) {
    ASSERT_TRUE(given.contains(token)) << token;
    EXPECT_NEAR(given.at(token), probability, 1e-6) << token;
  }
}

Row random_row(std::uint64_t seed, std::size_t entries, float spread) {
  Row row(entries);
  for (std::size_t i = 0; i < entries; ++i) row[i] = spread * normal(RandomKey{seed}, i);
  return row;
}

TEST(Sampler, GreedyTakesTheFirstOfTheLargest) {
  Sampler greedy{GenerationConfig{}};
  EXPECT_EQ(greedy.next(Row{1, 3, 2, 3}, {}, {}, 0), 1);
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    const Row row = random_row(seed, 1 + seed * 17, 1.0f);
    const auto expected = std::max_element(row.begin(), row.end()) - row.begin();
    EXPECT_EQ(greedy.next(row, {}, {}, 0), expected);
  }
}

TEST(Sampler, TemperatureZeroIsGreedy) {
  GenerationConfig config = sampling();
  config.temperature = 0.0;
  Sampler sampler(config);
  for (std::uint64_t position = 0; position < 20; ++position)
    EXPECT_EQ(sampler.next(Row{1, 3, 2, 3}, {}, {5}, position), 1);
}

TEST(Sampler, DrawsFollowTheDistribution) {
  GenerationConfig config = sampling();
  config.temperature = 0.7;
  const Row row = random_row(3, 12, 1.0f);
  const auto expected = passing(config, row);
  Sampler sampler(config);
  constexpr int draws = 40000;
  std::map<std::int32_t, int> counts;
  for (int i = 0; i < draws; ++i)
    ++counts[sampler.next(row, {}, RandomKey{11}.fold(static_cast<std::uint64_t>(i / 200)),
                          static_cast<std::uint64_t>(i % 200))];
  double chi_square = 0.0;
  for (const auto& [token, probability] : expected) {
    const double mean = probability * draws;
    chi_square += (counts[token] - mean) * (counts[token] - mean) / mean;
  }
  EXPECT_LT(chi_square, 31.3);  // the 0.1 % quantile at 11 degrees of freedom; the draws are fixed by their key
}

TEST(Sampler, ADrawDependsOnSeedSequenceAndPositionAlone) {
  Sampler one(sampling()), other(sampling());
  const Row row = random_row(4, 100, 0.1f);
  int differing = 0;
  for (std::uint64_t i = 0; i < 50; ++i) {
    const std::int32_t token = one.next(row, {}, RandomKey{1}.fold(2), i);
    other.next(row, {}, RandomKey{1}.fold(i), 7);
    EXPECT_EQ(other.next(row, {}, RandomKey{1}.fold(2), i), token);
    differing += other.next(row, {}, RandomKey{1}.fold(3), i) != token;
  }
  EXPECT_GT(differing, 40);
}

TEST(Sampler, TemperatureDividesLogits) {
  GenerationConfig config = sampling();
  config.temperature = 0.5;
  expect_passing(config, logarithms({0.1, 0.3, 0.6}), {{0, 1.0 / 46}, {1, 9.0 / 46}, {2, 36.0 / 46}});
  config.temperature = 1e-30;
  expect_passing(config, logarithms({0.1, 0.3, 0.6}), {{2, 1.0}});
  config.temperature = 1e30;
  expect_passing(config, logarithms({0.2, 0.3, 0.5}), {{0, 1.0 / 3}, {1, 1.0 / 3}, {2, 1.0 / 3}});
}

TEST(Sampler, TopKKeepsTheLikeliestAndTheFirstOfEquals) {
  GenerationConfig config = sampling();
  config.top_k = 2;
  expect_passing(config, logarithms({0.2, 0.4, 0.2, 0.2}), {{0, 1.0 / 3}, {1, 2.0 / 3}});
  config.top_k = 9;
  expect_passing(config, logarithms({0.25, 0.75}), {{0, 0.25}, {1, 0.75}});
}

TEST(Sampler, TopPKeepsTheFewestThatHaveTheProbabilityTogether) {
  GenerationConfig config = sampling();
  config.top_p = 0.75;
  expect_passing(config, logarithms({0.1, 0.5, 0.3, 0.1}), {{1, 0.625}, {2, 0.375}});
  config.top_p = 0.0;
  expect_passing(config, logarithms({0.1, 0.5, 0.3, 0.1}), {{1, 1.0}});
  config.top_p = 1.0;
  EXPECT_EQ(passing(config, logarithms({0.1, 0.5, 0.3, 0.1})).size(), 4u);
}

TEST(Sampler, TopPOfAWideRowEqualsSortingItWhole) {
  for (const double top_p : {0.3, 0.9, 0.999}) {
    GenerationConfig config = sampling();
    config.top_p = top_p;
    const Row row = random_row(6, 3000, 1.0f);
    const auto all = passing(sampling(), row);
    std::vector<std::pair<double, std::int32_t>> sorted;
    for (const auto& [token, probability] : all) sorted.emplace_back(-probability, token);
    std::sort(sorted.begin(), sorted.end());
    double sum = 0.0;
    std::map<std::int32_t, double> expected;
    for (const auto& [negative, token] : sorted) {
      if (sum >= top_p) break;
      expected[token] = -negative;
      sum -= negative;
    }
    for (auto& [token, probability] : expected) probability /= sum;
    expect_passing(config, row, expected);
  }
}

TEST(Sampler, MinPKeepsAShareOfTheLikeliest) {
  GenerationConfig config = sampling();
  config.min_p = 0.5;
  expect_passing(config, logarithms({0.1, 0.5, 0.3, 0.1}), {{1, 0.625}, {2, 0.375}});
  config.min_p = 1.0;
  expect_passing(config, logarithms({0.1, 0.5, 0.3, 0.1}), {{1, 1.0}});
}

TEST(Sampler, FiltersApplyInOrder) {
  GenerationConfig config = sampling();
  config.top_k = 3;
  config.top_p = 0.8;  // of what top-k leaves: 0.4 / 0.9 and 0.3 / 0.9 are 0.78, so a third is needed
  config.min_p = 0.6;  // takes the third away again
  expect_passing(config, logarithms({0.1, 0.4, 0.3, 0.2}), {{1, 4.0 / 7}, {2, 3.0 / 7}});
}

TEST(Sampler, OneFiniteLogitIsTaken) {
  const Row row = {nothing, nothing, -3.0f, nothing};
  for (GenerationConfig config : {GenerationConfig{}, sampling()}) {
    EXPECT_EQ(Sampler(config).next(row, {}, {}, 0), 2);
    config.top_k = 3;
    config.top_p = 0.5;
    config.min_p = 0.1;
    EXPECT_EQ(Sampler(config).next(row, {}, {}, 0), 2);
  }
}

TEST(Sampler, RefusesRowsWithoutAFiniteLargest) {
  const float nan = std::nanf("");
  for (const GenerationConfig& config : {GenerationConfig{}, sampling()})
    for (const Row& row : {Row{nothing, nothing}, Row{nan, nan}, Row{1.0f, -nothing}})
      EXPECT_THROW(Sampler(config).next(row, {}, {}, 0), Error);
}

TEST(Sampler, RepetitionPenaltyDividesPositiveAndMultipliesNegativeLogitsOnce) {
  GenerationConfig config;
  config.repetition_penalty = 2.0;
  const std::vector<std::int32_t> seen = {0, 0, 0, 2};
  EXPECT_EQ(Sampler(config).next(Row{3.0f, 2.0f, 5.0f}, seen, {}, 0), 2);     // 1.5, 2, 2.5
  EXPECT_EQ(Sampler(config).next(Row{3.0f, 2.0f, 3.9f}, seen, {}, 0), 1);     // 1.5, 2, 1.95
  EXPECT_EQ(Sampler(config).next(Row{-1.0f, -1.5f, -1.0f}, seen, {}, 0), 1);  // −2, −1.5, −2
  config.sample = true;
  const auto given = passing(config, Row{2.0f, 1.0f, -1.0f}, seen);
  EXPECT_NEAR(given.at(0) / given.at(1), 1.0, 1e-9);
  EXPECT_NEAR(given.at(2) / given.at(1), std::exp(-3.0), 1e-9);
}

}  // namespace
}  // namespace heed
