#include <algorithm>
#include <cmath>
#include <limits>

#include "ops/checks.h"
#include "ops/cross_entropy.h"

namespace heed {

namespace {

/// c such that the probabilities min(1, c/(j + 1)) of `classes` classes add up to `samples`.
double rank_share(std::int64_t classes, std::int64_t samples) {
  const auto expected = [&](double c) {
    const double whole = std::floor(c);  // the first classes, which are always taken
    double sum = whole;
    // The tail of a harmonic sum, by its logarithm: exact enough at every rank that matters.
    sum += c * (std::log(static_cast<double>(classes) + 0.5) - std::log(whole + 0.5));
    return sum;
  };
  double low = 0.0, high = static_cast<double>(samples);
  for (int i = 0; i < 60; ++i) {
    const double middle = 0.5 * (low + high);
    (expected(middle) < static_cast<double>(samples) ? low : high) = middle;
  }
  return low;
}

/// Entries of a bias: [count], with the gradient's way back.
Var take_elements(const Var& bias, const Tensor& ids) {
  Pass& pass = bias.pass();
  const std::int64_t count = ids.elements();
  Tensor y = pass.tensor({count});
  const auto* id = ids.as<std::int32_t>();
  for (std::int64_t i = 0; i < count; ++i) y.floats()[i] = bias.value().floats()[id[i]];
  return pass.record(y, {&bias}, [=, bias = bias.place(), all = bias.shape()](const Tensor& dy, Gradients& d) {
    const auto to = d.to(bias);
    if (!to) return;
    if (!to.accumulate) std::fill_n(to.floats(), all.elements(), 0.0f);
    for (std::int64_t i = 0; i < count; ++i) to.floats()[ids.as<std::int32_t>()[i]] += dy.floats()[i];
  });
}

}  // namespace

Loss sampled_cross_entropy(const Var& hidden, const Var& weight, const Var& bias, std::span<const std::int32_t> targets,
                           std::int64_t samples) {
  const std::int64_t classes = weight.shape()[0];
  if (samples < 1 || samples >= classes)
    throw Error(
        "sampled softmax: {} of {} classes are to be drawn; fewer than there are must be (in a recipe "
        "training.softmax_samples; 0 takes all)",
        samples, classes);
  for (std::size_t i = 0; i < targets.size(); ++i)
    if (targets[i] < -1 || targets[i] >= classes)
      throw Error("sampled softmax: target {} of row {} is outside the {} classes", targets[i], i, classes);

  Pass& pass = hidden.pass();
  const RandomKey key = pass.next_key();
  const double share = rank_share(classes, samples);
  std::vector<std::int32_t> place(static_cast<std::size_t>(classes), -1);  // 0: a target
  for (const std::int32_t target : targets)
    if (target >= 0) place[static_cast<std::size_t>(target)] = 0;
  std::vector<std::int32_t> taken;
  std::vector<float> corrections;
  for (std::int64_t j = 0; j < classes; ++j) {
    const double probability = std::min(1.0, share / static_cast<double>(j + 1));
    const bool drawn = static_cast<double>(uniform(key, static_cast<std::uint64_t>(j))) < probability;
    std::int32_t& at = place[static_cast<std::size_t>(j)];
    if (!drawn && at < 0) continue;
    at = static_cast<std::int32_t>(taken.size());
    taken.push_back(static_cast<std::int32_t>(j));
    // A target that was not drawn is no class to the other rows.
    corrections.push_back(drawn ? static_cast<float>(-std::log(probability)) : -std::numeric_limits<float>::infinity());
  }
  std::vector<std::int32_t> places(targets.size());
  for (std::size_t i = 0; i < targets.size(); ++i)
    places[i] = targets[i] < 0 ? -1 : place[static_cast<std::size_t>(targets[i])];

  const Var of_taken = embedding(pass, taken, nullptr, weight);
  Var biases;
  if (bias) {
    check_vector("sampled softmax", "bias", bias, classes, hidden);
    Tensor ids = pass.tensor({static_cast<std::int64_t>(taken.size())}, DType::int32);
    std::copy(taken.begin(), taken.end(), ids.as<std::int32_t>());
    biases = take_elements(bias, ids);
  }
  return corrected_cross_entropy(hidden, of_taken, biases, places, 0.0f, {}, corrections);
}

}  // namespace heed
