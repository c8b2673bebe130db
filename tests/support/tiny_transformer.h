#pragma once
// A Transformer small enough to differentiate by moving its weights, and one batch for it.
#include <heed/model.h>

#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "support/gradients.h"

namespace heed::test {

constexpr std::int64_t tiny_entries = 11, tiny_classes = 3;

inline ModelConfig tiny_transformer_config(const std::string& kind) {
  ModelConfig config;
  config.kind = kind;
  config.width = 12;
  config.heads = 2;
  config.layers = 2;
  config.feed_forward = 20;
  config.context = 16;
  config.relative_buckets = 8;
  config.relative_distance = 6;
  return config;
}

/// Weights larger than training starts with, so that every part of the model matters.
inline std::unique_ptr<Model> tiny_transformer(const ModelConfig& config, std::uint64_t seed = 1) {
  auto model = make_model(config, {.source = tiny_entries, .target = tiny_entries, .classes = tiny_classes});
  model->initialise(RandomKey{seed});
  std::uint64_t index = 0;
  for (auto& [name, weight] : model->weights()) {
    const float spread =
        weight.shape().rank() == 2 ? 1.0f / std::sqrt(static_cast<float>(weight.shape().width())) : 0.2f;
    const Tensor noise = draw(weight.shape(), RandomKey{seed}.fold(1000 + index++), spread);
    float* values = weight.change().floats();
    for (std::int64_t i = 0; i < weight.elements(); ++i) values[i] += noise.floats()[i];
  }
  return model;
}

/// The loss of three sequences of different lengths; `scale` times as many for larger work.
inline Loss tiny_loss(const Model& model, const std::string& kind, Pass& pass, std::int64_t scale = 1) {
  std::vector<std::int64_t> source_lengths, target_lengths;
  for (std::int64_t i = 0; i < scale; ++i) {
    source_lengths.insert(source_lengths.end(), {5, 1, 7});
    target_lengths.insert(target_lengths.end(), {3, 6, 1});
  }
  const auto ids = [](std::int64_t count, std::uint64_t seed, std::int64_t entries) {
    std::vector<std::int32_t> drawn;
    for (std::int64_t i = 0; i < count; ++i)
      drawn.push_back(
          static_cast<std::int32_t>(uniform_index(RandomKey{seed}, static_cast<std::uint64_t>(i), entries)));
    return drawn;
  };
  const SequencesPointer source = sequences_of_lengths(source_lengths), target = sequences_of_lengths(target_lengths);
  const std::vector<std::int32_t> source_ids = ids(source->tokens(), 1, tiny_entries),
                                  target_ids = ids(target->tokens(), 2, tiny_entries);
  Var hidden, memory;
  if (kind != "decoder") memory = model.encode(pass, {source_ids, source});
  hidden = kind == "encoder" ? model.summarise(memory) : model.decode(pass, {target_ids, target}, memory);
  const auto targets = ids(hidden.tokens(), 3, kind == "encoder" ? tiny_classes : tiny_entries);
  return model.loss(
      hidden,
      {.ids = targets, .label_smoothing = 0.1f, .row_weights = {}, .source = {source_ids, source}, .memory = memory});
}

}  // namespace heed::test
