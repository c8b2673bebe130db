#include "experiments/mean_interval.h"

#include <heed/error.h>

#include <cmath>
#include <limits>
#include <numbers>

namespace heed {

namespace {

/// P(|T| < t) where tan(angle) = t / sqrt(degrees): finite sums for whole degrees (Abramowitz & Stegun 1964, 26.7.3 and
/// 26.7.4).
double probability_within(double angle, std::int64_t degrees) {
  const double cosine = std::cos(angle), squared = cosine * cosine;
  const bool odd = degrees % 2 == 1;
  double term = odd ? cosine : 1.0, sum = degrees == 1 ? 0.0 : term;
  for (std::int64_t i = odd ? 3 : 2; i < degrees; i += 2) {
    term *= squared * static_cast<double>(i - 1) / static_cast<double>(i);
    sum += term;
  }
  return odd ? 2.0 / std::numbers::pi * (angle + std::sin(angle) * sum) : std::sin(angle) * sum;
}

}  // namespace

double student_t(double confidence, std::int64_t degrees) {
  if (!(confidence > 0.0 && confidence < 1.0)) throw Error("a confidence is between 0 and 1, found {}", confidence);
  if (degrees < 1) throw Error("Student's t needs 1 degree of freedom or more, found {}", degrees);
  double low = 0.0, high = std::numbers::pi / 2;
  for (int halving = 0; halving < 100; ++halving) {
    const double middle = (low + high) / 2;
    (probability_within(middle, degrees) < confidence ? low : high) = middle;
  }
  return std::tan(low) * std::sqrt(static_cast<double>(degrees));
}

MeanInterval mean_interval(std::span<const double> values, double confidence) {
  if (values.empty()) throw Error("the mean of no values is asked for");
  MeanInterval found;
  found.count = static_cast<std::int64_t>(values.size());
  const auto count = static_cast<double>(found.count);
  for (const double value : values) found.mean += value / count;
  if (found.count == 1) {
    found.half_width = std::numeric_limits<double>::infinity();
    return found;
  }
  double squares = 0.0;
  for (const double value : values) squares += (value - found.mean) * (value - found.mean);
  found.deviation = std::sqrt(squares / (count - 1.0));
  found.half_width = student_t(confidence, found.count - 1) * found.deviation / std::sqrt(count);
  return found;
}

}  // namespace heed
