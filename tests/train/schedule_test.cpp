#include "train/schedule.h"

#include <gtest/gtest.h>

#include <cmath>

#include "formats/test_files.h"

namespace heed::test {

namespace {

TrainingConfig with(const std::string& schedule, std::int64_t warmup = 0, double final_rate = 0.0) {
  TrainingConfig config;
  config.rate = 0.5;
  config.schedule = schedule;
  config.warmup = warmup;
  config.final_rate = final_rate;
  return config;
}

TEST(Schedule, RisesLinearlyInTheWarmup) {
  for (const char* schedule : {"cosine", "linear", "inverse-square-root", "constant"}) {
    EXPECT_DOUBLE_EQ(learning_rate(with(schedule, 10), 0, 0.0), 0.05);
    EXPECT_DOUBLE_EQ(learning_rate(with(schedule, 10), 4, 0.0), 0.25);
    EXPECT_DOUBLE_EQ(learning_rate(with(schedule, 10), 9, 0.0), 0.5);
  }
}

TEST(Schedule, CosineFallsToTheFinalRate) {
  EXPECT_DOUBLE_EQ(learning_rate(with("cosine"), 0, 0.0), 0.5);
  EXPECT_DOUBLE_EQ(learning_rate(with("cosine"), 5, 0.5), 0.25);
  EXPECT_NEAR(learning_rate(with("cosine"), 9, 1.0), 0.0, 1e-16);
  EXPECT_DOUBLE_EQ(learning_rate(with("cosine", 0, 0.1), 9, 1.0), 0.05);
  EXPECT_DOUBLE_EQ(learning_rate(with("cosine", 0, 0.1), 3, 1.0 / 3.0), 0.5 * (0.1 + 0.9 * 0.75));
}

TEST(Schedule, LinearFallsToTheFinalRate) {
  EXPECT_DOUBLE_EQ(learning_rate(with("linear"), 3, 0.25), 0.375);
  EXPECT_DOUBLE_EQ(learning_rate(with("linear", 0, 0.2), 9, 1.0), 0.1);
  EXPECT_DOUBLE_EQ(learning_rate(with("linear", 0, 0.2), 9, 7.0), 0.1) << "beyond the end it stays";
}

TEST(Schedule, InverseSquareRootStartsAtThePeak) {
  EXPECT_DOUBLE_EQ(learning_rate(with("inverse-square-root", 100), 99, 0.1), 0.5);
  EXPECT_DOUBLE_EQ(learning_rate(with("inverse-square-root", 100), 399, 0.4), 0.25);
  EXPECT_DOUBLE_EQ(learning_rate(with("inverse-square-root"), 15, 0.4), 0.125);
}

TEST(Schedule, ConstantStays) { EXPECT_DOUBLE_EQ(learning_rate(with("constant", 3), 1000, 0.9), 0.5); }

TEST(Schedule, UnknownIsNamed) {
  expect_error("training.schedule is \"step\": cosine, linear, inverse-square-root and constant are known",
               [] { learning_rate(with("step"), 0, 0.0); });
}

}  // namespace

}  // namespace heed::test
