#include "tasks/calibration.h"

#include <gtest/gtest.h>
#include <heed/error.h>
#include <heed/random.h>

#include <cmath>
#include <vector>

namespace heed {
namespace {

/// Two classes with logits (s, 0); the label is drawn with the probability that logits divided by `temperature` have.
struct Drawn {
  std::vector<float> logits;
  std::vector<std::int32_t> labels;
};

Drawn draw(double temperature) {
  Drawn drawn;
  const RandomKey key{3};
  for (std::uint64_t i = 0; i < 20000; ++i) {
    const double s = 4.0 * static_cast<double>(normal(key, i));
    const double uniform = 0.5 * (1 + std::erf(static_cast<double>(normal(key.fold(1), i)) / std::sqrt(2.0)));
    drawn.logits.insert(drawn.logits.end(), {static_cast<float>(s), 0.0f});
    drawn.labels.push_back(uniform < 1 / (1 + std::exp(-s / temperature)) ? 0 : 1);
  }
  return drawn;
}

TEST(Calibration, FindsTheTemperatureThatLabelsWereDrawnWith) {
  for (const double temperature : {0.5, 1.0, 3.0}) {
    const Drawn drawn = draw(temperature);
    const double found = fitted_temperature(drawn.logits, drawn.labels, 2);
    EXPECT_NEAR(found / temperature, 1, 0.06);
    EXPECT_LT(calibration_error(drawn.logits, drawn.labels, 2, found), 0.02);
    if (temperature > 1) {
      EXPECT_GT(calibration_error(drawn.logits, drawn.labels, 2), 0.1);
    }
  }
}

TEST(Calibration, NamesWhatDoesNotFit) {
  const std::vector<float> logits{1, 2};
  const std::vector<std::int32_t> label{0}, outside{2}, none;
  EXPECT_THROW(fitted_temperature(logits, label, 3), Error);
  EXPECT_THROW(fitted_temperature(logits, outside, 2), Error);
  EXPECT_THROW(calibration_error({}, none, 2), Error);
}

}  // namespace
}  // namespace heed
