#include "decode/sampling.h"

#include <heed/error.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "decode/scan.h"

namespace heed {

namespace {

bool likelier(const Sampler::Candidate& a, const Sampler::Candidate& b) {
  return a.probability > b.probability || (a.probability == b.probability && a.token < b.token);
}

std::int32_t largest(std::span<const float> logits) {
  std::int32_t best = -1;
  for_each_above(logits, -std::numeric_limits<float>::infinity(), [&](std::size_t i, float value) {
    best = static_cast<std::int32_t>(i);
    return value;
  });
  if (best < 0 || !std::isfinite(logits[static_cast<std::size_t>(best)]))
    throw Error(
        "sampling: the largest of {} logits is {}; expected a finite number: the model's weights or input are broken",
        logits.size(), best < 0 ? std::nanf("") : logits[static_cast<std::size_t>(best)]);
  return best;
}

}  // namespace

Sampler::Sampler(const GenerationConfig& config) : config_(config) {}

std::span<const float> Sampler::penalised(std::span<const float> logits, std::span<const std::int32_t> seen) {
  const auto penalty = static_cast<float>(config_.repetition_penalty);
  if (penalty == 1.0f || seen.empty()) return logits;
  penalised_.assign(logits.begin(), logits.end());
  for (const std::int32_t token : seen) {
    const auto i = static_cast<std::size_t>(token);
    if (i < logits.size()) penalised_[i] = logits[i] > 0.0f ? logits[i] / penalty : logits[i] * penalty;
  }
  return penalised_;
}

void Sampler::keep_top_k() {
  const auto k = static_cast<std::size_t>(config_.top_k);
  if (k == 0 || k >= candidates_.size()) return;
  std::nth_element(candidates_.begin(), candidates_.begin() + static_cast<std::ptrdiff_t>(k - 1), candidates_.end(),
                   likelier);
  candidates_.resize(k);
}

void Sampler::keep_top_p() {
  if (config_.top_p >= 1.0) return;
  double mass = 0.0;
  for (const Candidate& candidate : candidates_) mass += candidate.probability;
  // The likeliest few usually have it together: sorted in growing parts, not whole.
  const double wanted = config_.top_p * mass;
  double sum = 0.0;
  for (std::size_t kept = 0, sorted = 0; kept < candidates_.size(); ++kept) {
    if (kept > 0 && sum >= wanted) {
      candidates_.resize(kept);
      return;
    }
    if (kept == sorted) {
      const auto from = candidates_.begin() + static_cast<std::ptrdiff_t>(sorted);
      sorted = std::min(candidates_.size(), std::max<std::size_t>(64, 8 * sorted));
      std::partial_sort(from, candidates_.begin() + static_cast<std::ptrdiff_t>(sorted), candidates_.end(), likelier);
    }
    sum += candidates_[kept].probability;
  }
}

void Sampler::keep_min_p() {
  std::erase_if(candidates_, [&](const Candidate& candidate) { return candidate.probability < config_.min_p; });
}

std::span<const Sampler::Candidate> Sampler::candidates(std::span<const float> raw,
                                                        std::span<const std::int32_t> seen) {
  const std::span<const float> logits = penalised(raw, seen);
  const std::int32_t best = largest(logits);
  candidates_.clear();
  if (!config_.sample || config_.temperature == 0.0) {
    candidates_.push_back({best, 1.0});
    return candidates_;
  }
  // Relative to the likeliest, which is exactly 1, so that no temperature overflows.
  const double maximum = logits[static_cast<std::size_t>(best)];
  for (std::size_t i = 0; i < logits.size(); ++i) {
    const double probability = std::exp((static_cast<double>(logits[i]) - maximum) / config_.temperature);
    if (probability > 0.0) candidates_.push_back({static_cast<std::int32_t>(i), probability});
  }
  keep_top_k();
  keep_top_p();
  keep_min_p();
  // In the order of ids, so that a logit that differs in its last bits (another batch) hardly moves the draw.
  if (candidates_.size() < logits.size())
    std::sort(candidates_.begin(), candidates_.end(),
              [](const Candidate& a, const Candidate& b) { return a.token < b.token; });
  double mass = 0.0;
  for (const Candidate& candidate : candidates_) mass += candidate.probability;
  for (Candidate& candidate : candidates_) candidate.probability /= mass;
  return candidates_;
}

std::int32_t Sampler::next(std::span<const float> logits, std::span<const std::int32_t> seen, RandomKey key,
                           std::uint64_t position) {
  if (!config_.sample || config_.temperature == 0.0) return largest(penalised(logits, seen));
  const std::span<const Candidate> choice = candidates(logits, seen);
  const double draw = static_cast<double>(bits64(key, position) >> 11) * 0x1p-53;
  double sum = 0.0;
  for (const Candidate& candidate : choice) {
    sum += candidate.probability;
    if (draw < sum) return candidate.token;
  }
  return choice.back().token;  // the probabilities' sum may round to just below 1
}

}  // namespace heed
