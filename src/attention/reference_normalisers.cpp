#include "attention/reference_normalisers.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

namespace heed::attention::reference {

namespace {

using Row = std::vector<double>;
constexpr double infinite = std::numeric_limits<double>::infinity();

Normalised softmax(const Row& scores, double sink) {
  double largest = sink;
  for (const double score : scores) largest = std::max(largest, score);
  if (largest == -infinite) largest = 0.0;  // all weights are then 0, or NaN where a score is
  Normalised result;
  double sum = result.sink_weight = std::exp(sink - largest);
  for (const double score : scores) {
    result.weights.push_back(std::exp(score - largest));
    sum += result.weights.back();
  }
  result.log_sum_exp = largest + std::log(sum);
  if (sum == 0.0) return result;
  for (double& weight : result.weights) weight /= sum;
  result.sink_weight /= sum;
  return result;
}

/// The threshold τ of sparsemax for numbers in falling order, the first of them 0: Σ max(x − τ, 0) = 1. The numbers
/// above it are the longest beginning of k with 1 + k·x_k > x_1 + … + x_k (Martins & Astudillo 2016, algorithm 1).
double sparsemax_threshold(const Row& x) {
  double sum = 0.0, threshold = 0.0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double count = static_cast<double>(i + 1);
    sum += x[i];
    if (!(1.0 + count * x[i] > sum)) break;
    threshold = (sum - 1.0) / count;
  }
  return threshold;
}

/// The same of entmax15: Σ max(x − τ, 0)² = 1. With mean M and summed squared deviation D of the first k,
/// τ = M − sqrt((1 − D) / k), for the largest k with τ ≤ x_k (Peters et al. 2019, algorithm 2).
double entmax15_threshold(const Row& x) {
  double mean = 0.0, deviation = 0.0, threshold = 0.0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double count = static_cast<double>(i + 1), away = x[i] - mean;
    mean += away / count;
    deviation += away * (x[i] - mean);
    const double candidate = mean - std::sqrt(std::max(0.0, 1.0 - deviation) / count);
    if (!(candidate <= x[i])) break;
    threshold = candidate;
  }
  return threshold;
}

/// sparsemax of `scores`, or entmax15 of twice the scores.
Normalised with_threshold(Normaliser normaliser, const Row& scores) {
  const bool sparsemax = normaliser == Normaliser::sparsemax;
  double largest = -infinite;
  for (const double score : scores) largest = std::max(largest, score);
  bool finite = largest < infinite;
  for (const double score : scores) finite = finite && !std::isnan(score);
  Row sorted;
  for (const double score : scores)
    if (finite && score > -infinite) sorted.push_back(score - largest);
  std::sort(sorted.begin(), sorted.end(), std::greater<>());
  Normalised result;
  result.log_sum_exp = !finite          ? std::numeric_limits<double>::quiet_NaN()
                       : sorted.empty() ? infinite
                       : sparsemax      ? largest + sparsemax_threshold(sorted)
                                        : largest + entmax15_threshold(sorted);
  for (const double score : scores) {
    const double above = score - result.log_sum_exp, weight = above < 0.0 ? 0.0 : above;
    result.weights.push_back(sparsemax ? weight : weight * weight);
  }
  return result;
}

double sum_of_products(const Row& a, const Row& b) {
  double sum = 0.0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

}  // namespace

Normalised normalise(Normaliser normaliser, const Row& scores, double sink) {
  switch (normaliser) {
    case Normaliser::softmax:
    case Normaliser::softmax_zero:
    case Normaliser::softmax_sink:
      return softmax(scores, sink);
    case Normaliser::sigmoid: {
      Normalised result;
      for (const double score : scores) result.weights.push_back(1.0 / (1.0 + std::exp(-score)));
      return result;
    }
    case Normaliser::sparsemax:
      return with_threshold(normaliser, scores);
    case Normaliser::entmax15: {
      Row halves;
      for (const double score : scores) halves.push_back(score / 2.0);
      return with_threshold(normaliser, halves);
    }
  }
  return {};
}

ScoreGradients normalise_backward(Normaliser normaliser, const Normalised& forward, const Row& dweights) {
  const Row& weights = forward.weights;
  ScoreGradients result;
  switch (normaliser) {
    case Normaliser::softmax:
    case Normaliser::softmax_zero:
    case Normaliser::softmax_sink: {
      const double mean = sum_of_products(weights, dweights);
      for (std::size_t j = 0; j < weights.size(); ++j) result.scores.push_back(weights[j] * (dweights[j] - mean));
      result.sink = -forward.sink_weight * mean;
      break;
    }
    case Normaliser::sigmoid:
      for (std::size_t j = 0; j < weights.size(); ++j)
        result.scores.push_back(weights[j] * (1.0 - weights[j]) * dweights[j]);
      break;
    // With g = weight^(2 − α), which is the support itself for sparsemax (α = 2) and the root for entmax15 (α = 1.5):
    // dscore = g · (dweight − Σ g·dweight / Σ g) (Peters et al. 2019, proposition 2).
    case Normaliser::sparsemax:
    case Normaliser::entmax15: {
      Row slopes;
      double sum = 0.0;
      for (const double weight : weights) {
        slopes.push_back(normaliser == Normaliser::entmax15 ? std::sqrt(weight) : weight == 0.0 ? 0.0 : 1.0);
        sum += slopes.back();
      }
      const double mean = sum == 0.0 ? 0.0 : sum_of_products(slopes, dweights) / sum;
      for (std::size_t j = 0; j < weights.size(); ++j) result.scores.push_back(slopes[j] * (dweights[j] - mean));
      break;
    }
  }
  return result;
}

}  // namespace heed::attention::reference
