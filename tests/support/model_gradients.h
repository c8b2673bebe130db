#pragma once
// Whole models against central differences of their loss.
#include <gtest/gtest.h>

#include <functional>

#include "support/differences.h"
#include "support/tiny_transformer.h"

namespace heed::test {

struct Machine {
  Arena arena{std::int64_t{1} << 28};
  ThreadPool pool{1};
};

inline std::vector<Weight> weights_of(Model& model) {
  std::vector<Weight> weights;
  for (auto& [name, weight] : model.weights()) weights.push_back(weight);
  return weights;
}

/// Biases that keep each unit of the inner networks on or off: ReLU has no derivative in between.
inline void keep_off_the_corner(Model& model) {
  for (auto& [name, weight] : model.weights())
    if (name.ends_with("mlp.up.bias"))
      for (std::int64_t i = 0; i < weight.elements(); ++i) weight.change().floats()[i] = i % 2 == 0 ? 8.0f : -8.0f;
}

/// The gradient along a random direction equals central differences of the loss, `loss_of(pass)`; drop-out stays what
/// it is, because the key does.
inline void expect_gradient(Machine& machine, Model& model, const std::function<Loss(Pass&)>& loss_of) {
  const std::vector<Weight> weights = weights_of(model);
  const RandomKey key{5};
  WeightGradients gradients(weights);
  gradients.clear();
  double loss = 0.0;
  {
    Pass pass(machine.arena, machine.pool, training_options(&gradients, Precision::float32, key));
    const Loss found = loss_of(pass);
    pass.backward(found);
    loss = found.total;
  }
  gradients.finish();
  EXPECT_EQ(machine.arena.live(), 0);

  std::vector<Tensor> starts, directions;
  double along = 0.0, gradient_norm = 0.0;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    starts.push_back(weights[i].value().clone());
    directions.push_back(draw(weights[i].shape(), RandomKey{6}.fold(i)));
    for (std::int64_t j = 0; j < weights[i].elements(); ++j) {
      const double gradient = gradients.of(weights[i]).floats()[j], direction = directions[i].floats()[j];
      along += gradient * direction;
      gradient_norm += gradient * gradient;
    }
  }
  const auto loss_at = [&](double step) {
    for (std::size_t i = 0; i < weights.size(); ++i) {
      Weight weight = weights[i];
      float* values = weight.change().floats();
      for (std::int64_t j = 0; j < weight.elements(); ++j)
        values[j] = starts[i].floats()[j] + static_cast<float>(step) * directions[i].floats()[j];
    }
    Pass pass(machine.arena, machine.pool, training_options(nullptr, Precision::float32, key));
    return loss_of(pass).total;
  };
  const double step = 5e-4;  // with 1e-3 the largest of what is pooled is another on the way
  const double expected = difference(0.0, loss_at, step);
  // What float32 leaves of a difference, and a little for the fourth order.
  const double noise = 16.0 * unit_roundoff(DType::float32) * loss / step;
  EXPECT_NEAR(along, expected, noise + 1e-3 * std::sqrt(gradient_norm));
  EXPECT_GT(gradient_norm, 0.0);
}

/// The same of the model and loss that a configuration describes.
inline void expect_gradient(Machine& machine, const ModelConfig& config) {
  SCOPED_TRACE(format("{} {} {} {} {} {} gated {} pooling {}", config.network, config.kind, config.position,
                      config.norm_place, config.norm, config.activation, config.gated, config.pooling));
  const auto model = tiny_transformer(config);
  if (config.activation == "relu") keep_off_the_corner(*model);
  expect_gradient(machine, *model, [&](Pass& pass) { return tiny_loss(*model, config.kind, pass); });
}

}  // namespace heed::test
