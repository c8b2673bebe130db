#pragma once
// Random problems of linear attention with their memory.
#include <gtest/gtest.h>
#include <heed/linear_attention.h>
#include <heed/random.h>

#include <cmath>
#include <vector>

#include "attention/linear/reference.h"

namespace heed::attention::linear {

struct Choice {
  UpdateRule rule = UpdateRule::linear;
  int heads = 4, key_value_heads = 2, key_width = 5, value_width = 3;
  std::vector<std::int64_t> lengths = {7, 0, 3};
  bool decay_each = true, shared_beta = false, states = true;
  float decay = 0.2f;  ///< decays are −decay·|normal|
  std::optional<float> scale = {};

  std::string text() const {
    std::string text =
        format("{}, {} heads over {}, widths {} and {}, decay {} each {}, shared beta {}, states {}; lengths",
               name_of(rule), heads, key_value_heads, key_width, value_width, decay, decay_each, shared_beta, states);
    for (const std::int64_t length : lengths) text += format(" {}", length);
    return text;
  }
};

/// Every rule, with each width of decays and betas.
inline std::vector<Choice> choices(Choice like) {
  std::vector<Choice> all;
  for (const UpdateRule rule : {UpdateRule::linear, UpdateRule::gated, UpdateRule::delta, UpdateRule::gated_delta})
    for (const bool decay_each : {false, true})
      for (const bool shared_beta : {false, true}) {
        const bool gated = rule == UpdateRule::gated || rule == UpdateRule::gated_delta;
        const bool delta = rule == UpdateRule::delta || rule == UpdateRule::gated_delta;
        if ((decay_each && !gated) || (shared_beta && !delta)) continue;
        like.rule = rule;
        like.decay_each = decay_each;
        like.shared_beta = shared_beta;
        all.push_back(like);
      }
  return all;
}

inline Tensor draw(Shape shape, RandomKey key, float size = 1.0f) {
  Tensor tensor(shape);
  for (std::int64_t i = 0; i < tensor.elements(); ++i)
    tensor.floats()[i] = size * normal(key, static_cast<std::uint64_t>(i));
  return tensor;
}

struct Sample {
  LinearAttentionProblem problem;
  Tensor query, key, value, decay, beta, initial_states, final_states, output, doutput, dfinal_states;

  Sample(const Choice& choice, std::uint64_t seed, DType dtype = DType::float32) {
    std::int64_t rows = 0;
    for (const std::int64_t length : choice.lengths) rows += length;
    const RandomKey random{seed};
    const std::int64_t heads = choice.key_value_heads;
    problem.rule = choice.rule;
    problem.heads = choice.heads;
    problem.key_value_heads = choice.key_value_heads;
    problem.key_width = choice.key_width;
    problem.value_width = choice.value_width;
    problem.scale = choice.scale;
    query = draw({rows, choice.heads * choice.key_width}, random.fold(0)).to(dtype);
    // Keys of length about 1, as the delta rules need them.
    key = draw({rows, heads * choice.key_width}, random.fold(1), 1.0f / std::sqrt(static_cast<float>(choice.key_width)))
              .to(dtype);
    value = draw({rows, heads * choice.value_width}, random.fold(2)).to(dtype);
    problem.query = query.view();
    problem.key = key.view();
    problem.value = value.view();
    if (choice.rule == UpdateRule::gated || choice.rule == UpdateRule::gated_delta) {
      decay = draw({rows, choice.decay_each ? heads * choice.key_width : heads}, random.fold(3), choice.decay);
      for (std::int64_t i = 0; i < decay.elements(); ++i) decay.floats()[i] = -std::fabs(decay.floats()[i]);
      decay = decay.to(dtype);
      problem.decay = decay.view();
    }
    if (choice.rule == UpdateRule::delta || choice.rule == UpdateRule::gated_delta) {
      beta = draw({rows, choice.shared_beta ? 1 : heads}, random.fold(4));
      for (std::int64_t i = 0; i < beta.elements(); ++i) beta.floats()[i] = 1.0f / (1.0f + std::exp(beta.floats()[i]));
      beta = beta.to(dtype);
      problem.beta = beta.view();
    }
    const auto sequences = static_cast<std::int64_t>(choice.lengths.size());
    const Shape states = {sequences, heads, choice.key_width, choice.value_width};
    initial_states = choice.states ? draw(states, random.fold(5)) : Tensor(states);
    final_states = Tensor(states);
    output = Tensor({rows, choice.heads * choice.value_width});
    doutput = draw(output.shape(), random.fold(6));
    dfinal_states = choice.states ? draw(states, random.fold(7)) : Tensor(states);
    const std::int64_t size = heads * choice.key_width * choice.value_width;
    std::int64_t begin = 0;
    for (std::int64_t i = 0; i < sequences; ++i) {
      const std::int64_t length = choice.lengths[static_cast<std::size_t>(i)];
      problem.sequences.push_back({.begin = begin,
                                   .count = length,
                                   .initial_state = choice.states ? initial_states.floats() + i * size : nullptr,
                                   .final_state = final_states.floats() + i * size});
      begin += length;
    }
  }

  static reference::Numbers in_double(const Tensor& tensor) {
    return {tensor.floats(), tensor.floats() + tensor.elements()};
  }
};

/// Gradients as tensors, begun with NaN so that anything not written shows.
struct SampleGradients {
  Tensor query, key, value, decay, beta, initial_states;
  LinearAttentionGradients to;

  explicit SampleGradients(const Sample& sample) : initial_states(sample.initial_states.shape()) {
    const auto begin = [](Tensor& tensor, const Tensor& like, View& view) {
      if (!like) return;
      tensor = Tensor(like.shape());
      tensor.fill(std::nanf(""));
      view = tensor.view();
    };
    begin(query, sample.query, to.query);
    begin(key, sample.key, to.key);
    begin(value, sample.value, to.value);
    begin(decay, sample.decay, to.decay);
    begin(beta, sample.beta, to.beta);
    initial_states.fill(std::nanf(""));
    const auto sequences = static_cast<std::int64_t>(sample.problem.sequences.size());
    const std::int64_t size = sequences > 0 ? initial_states.elements() / sequences : 0;
    for (std::int64_t i = 0; i < sequences; ++i)
      to.states.push_back({sample.dfinal_states.floats() + i * size, initial_states.floats() + i * size});
  }
};

/// The largest difference against the largest expected element (or 1), in roundings of float32.
inline void expect_close(const Tensor& actual, const reference::Numbers& expected, double roundings,
                         const std::string& what) {
  ASSERT_EQ(actual ? actual.elements() : 0, static_cast<std::int64_t>(expected.size())) << what;
  double size = 1.0, worst = 0.0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    ASSERT_FALSE(std::isnan(actual.floats()[i])) << what << " at " << i;
    size = std::max(size, std::fabs(expected[i]));
    worst = std::max(worst, std::fabs(static_cast<double>(actual.floats()[i]) - expected[i]));
  }
  EXPECT_LE(worst, roundings * 0x1p-24 * size) << what;
}

}  // namespace heed::attention::linear
