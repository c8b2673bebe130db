#include "tasks/calibration.h"

#include <heed/error.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

namespace heed {

namespace {

void check(std::span<const float> logits, std::span<const std::int32_t> labels, std::int64_t classes) {
  if (labels.empty()) throw Error("calibration: there are no examples");
  if (classes < 1 || logits.size() != labels.size() * static_cast<std::size_t>(classes))
    throw Error("calibration: {} logits for {} examples of {} classes", logits.size(), labels.size(), classes);
  for (const std::int32_t label : labels)
    if (label < 0 || label >= classes) throw Error("calibration: the label {} is not in 0 to {}", label, classes - 1);
}

/// Puts the probabilities of an example into `to`.
void softmax(std::span<const float> logits, double temperature, std::vector<double>& to) {
  to.assign(logits.begin(), logits.end());
  const double most = *std::max_element(to.begin(), to.end());
  double sum = 0;
  for (double& value : to) sum += value = std::exp((value - most) / temperature);
  for (double& value : to) value /= sum;
}

double negative_log_likelihood(std::span<const float> logits, std::span<const std::int32_t> labels, std::size_t classes,
                               double temperature) {
  double sum = 0;
  std::vector<double> probabilities;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    softmax(logits.subspan(i * classes, classes), temperature, probabilities);
    sum -= std::log(std::max(probabilities[static_cast<std::size_t>(labels[i])], 1e-300));
  }
  return sum;
}

}  // namespace

double fitted_temperature(std::span<const float> logits, std::span<const std::int32_t> labels, std::int64_t classes) {
  check(logits, labels, classes);
  // In the inverse of the temperature the likelihood has one maximum: the golden section finds it, by logarithms.
  const double golden = (std::sqrt(5.0) - 1) / 2;
  const auto loss = [&](double log_temperature) {
    return negative_log_likelihood(logits, labels, static_cast<std::size_t>(classes), std::exp(log_temperature));
  };
  double low = -std::log(20.0), high = std::log(20.0);
  double a = high - golden * (high - low), b = low + golden * (high - low);
  double loss_a = loss(a), loss_b = loss(b);
  while (high - low > 1e-4) {
    if (loss_a < loss_b) {
      high = b, b = a, loss_b = loss_a;
      loss_a = loss(a = high - golden * (high - low));
    } else {
      low = a, a = b, loss_a = loss_b;
      loss_b = loss(b = low + golden * (high - low));
    }
  }
  return std::exp((low + high) / 2);
}

double calibration_error(std::span<const float> logits, std::span<const std::int32_t> labels, std::int64_t classes,
                         double temperature) {
  check(logits, labels, classes);
  struct Interval {
    double confidence = 0, right = 0;
  };
  std::array<Interval, 15> intervals;
  std::vector<double> probabilities;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    softmax(logits.subspan(i * static_cast<std::size_t>(classes), static_cast<std::size_t>(classes)), temperature,
            probabilities);
    const auto best = std::max_element(probabilities.begin(), probabilities.end());
    const auto place =
        std::min(static_cast<std::size_t>(*best * static_cast<double>(intervals.size())), intervals.size() - 1);
    intervals[place].confidence += *best;
    intervals[place].right += best - probabilities.begin() == labels[i];
  }
  double error = 0;
  for (const Interval& interval : intervals) error += std::abs(interval.right - interval.confidence);
  return error / static_cast<double>(labels.size());
}

}  // namespace heed
