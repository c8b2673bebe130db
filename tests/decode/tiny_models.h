#pragma once
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "decode/session.h"
#include "kernels/matmul.h"

namespace heed {

using Ids = std::vector<std::int32_t>;

inline ModelConfig tiny_config(std::string kind, std::string position = "sinusoidal") {
  ModelConfig config;
  config.kind = std::move(kind);
  config.position = std::move(position);
  config.width = 24;
  config.heads = 4;
  config.layers = 2;
  config.feed_forward = 40;
  config.context = 64;
  config.tied = "none";
  return config;
}

/// Random weights, larger than training starts with, so that what is attended to matters.
inline std::unique_ptr<Model> tiny_model(const ModelConfig& config, std::int64_t entries = 17, std::uint64_t seed = 1) {
  auto model = make_model(config, {.source = entries, .target = entries});
  model->initialise(RandomKey{seed});
  std::uint64_t index = 0;
  for (auto& [name, weight] : model->weights()) {
    const RandomKey key = RandomKey{seed}.fold(1000 + index++);
    float* values = weight.change().floats();
    const float spread =
        weight.shape().rank() == 2 ? 2.0f / std::sqrt(static_cast<float>(weight.shape().width())) : 0.1f;
    for (std::int64_t i = 0; i < weight.elements(); ++i)
      values[i] += spread * normal(key, static_cast<std::uint64_t>(i));
  }
  return model;
}

inline Ids random_ids(std::uint64_t seed, std::int64_t count, std::int64_t entries = 17) {
  Ids ids;
  for (std::int64_t i = 0; i < count; ++i)
    ids.push_back(static_cast<std::int32_t>(uniform_index(RandomKey{seed}, static_cast<std::uint64_t>(i), entries)));
  return ids;
}

inline std::vector<float> row_of(const Tensor& x, std::int64_t row) {
  return {x.floats() + row * x.width(), x.floats() + (row + 1) * x.width()};
}

inline SequencesPointer one_sequence(const Ids& ids) {
  auto sequences = std::make_shared<Sequences>();
  sequences->offsets = {0, static_cast<std::int64_t>(ids.size())};
  return sequences;
}

/// Logits of every position from one pass over the whole, without a cache: what decoding is measured by.
inline std::vector<std::vector<float>> whole_forward(const Model& model, ThreadPool& pool, const Ids& ids,
                                                     const Ids& source = {}) {
  Arena arena;
  Pass pass(arena, pool);
  Var memory;
  if (!source.empty()) memory = model.encode(pass, {source, one_sequence(source)});
  const Var hidden = model.decode(pass, {ids, one_sequence(ids)}, memory);
  const Var logits = linear(hidden, model.output_weight(pass), model.output_bias(pass));
  std::vector<std::vector<float>> rows;
  for (std::int64_t i = 0; i < logits.tokens(); ++i) rows.push_back(row_of(logits.value(), i));
  return rows;
}

/// Equal up to float32 rounding of sums of the model's sizes.
inline void expect_near(const std::vector<float>& a, const std::vector<float>& b, const std::string& what) {
  ASSERT_EQ(a.size(), b.size()) << what;
  float largest = 1.0f;
  for (const float value : b) largest = std::max(largest, std::abs(value));
  for (std::size_t i = 0; i < a.size(); ++i) ASSERT_NEAR(a[i], b[i], 2e-5f * largest) << what << ", entry " << i;
}

}  // namespace heed
