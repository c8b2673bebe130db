#include "decode/generation.h"

#include <algorithm>
#include <numeric>

namespace heed {

GenerationLimit generation_limit(const GenerationInput& input, std::size_t index, const Model& model,
                                 const GenerationConfig& config) {
  const auto prompt = static_cast<std::int64_t>(input.prompt.size());
  if (prompt == 0) throw Error("generation: input {} has an empty prompt; give at least the begin token", index);
  if (prompt > model.context())
    throw Error("generation: the prompt of input {} has {} tokens, but the model's context is {}: cut it or split it",
                index, prompt, model.context());
  GenerationLimit limit{config.max_tokens, Stop::length};
  if (!input.source.empty()) {
    const double longest = config.max_length_ratio * static_cast<double>(input.source.size()) + 10.0;
    if (longest < static_cast<double>(limit.predictions)) limit.predictions = static_cast<std::int64_t>(longest);
  }
  // The last prediction is made from a full context and need not be read again.
  const std::int64_t left = model.context() - prompt + 1;
  return left < limit.predictions ? GenerationLimit{left, Stop::context} : limit;
}

WaitingInputs::WaitingInputs(std::span<const GenerationInput> inputs, const Model& model,
                             const GenerationConfig& config)
    : order_(inputs.size()), room_(config.batch_tokens) {
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    limits_.push_back(generation_limit(inputs[i], i, model, config));
    const auto tokens = static_cast<std::int64_t>(inputs[i].source.size() + inputs[i].prompt.size());
    cost_.push_back(inputs[i].source.empty() ? config.beams * (tokens + limits_.back().predictions)
                                             : std::max(tokens, config.beams));
  }
  std::iota(order_.begin(), order_.end(), std::size_t{0});
  std::stable_sort(order_.begin(), order_.end(), [&](std::size_t a, std::size_t b) { return cost_[a] > cost_[b]; });
}

std::vector<std::size_t> WaitingInputs::admit() {
  std::vector<std::size_t> admitted;
  if (taken_ > room_ / 2) return admitted;
  while (!empty()) {
    const std::size_t input = order_[next_];
    if (taken_ > 0 && taken_ + cost_[input] > room_) break;
    taken_ += cost_[input];
    admitted.push_back(input);
    ++next_;
  }
  return admitted;
}

void WaitingInputs::finished(std::size_t input) { taken_ -= cost_[input]; }

}  // namespace heed
