#include <gtest/gtest.h>
#include <heed/optimizer.h>

#include "formats/safetensors.h"
#include "formats/test_files.h"
#include "support/tiny_transformer.h"

namespace heed::test {

namespace {

struct Expected {
  std::vector<double> value, first, second;
};

/// One step as the papers write it: Kingma & Ba 2015, algorithm 1; Loshchilov & Hutter 2019, algorithm 2; SGD with
/// momentum.
void step(Expected& at, const std::vector<double>& gradient, const TrainingConfig& config, std::int64_t t, double decay,
          double scale) {
  for (std::size_t i = 0; i < at.value.size(); ++i) {
    double g = scale * gradient[i];
    if (config.optimizer != "adamw") g += decay * at.value[i];
    if (config.optimizer == "sgd") {
      at.first[i] = config.momentum * at.first[i] + g;
      at.value[i] -= config.rate * at.first[i];
      continue;
    }
    at.first[i] = config.beta1 * at.first[i] + (1.0 - config.beta1) * g;
    at.second[i] = config.beta2 * at.second[i] + (1.0 - config.beta2) * g * g;
    const double first = at.first[i] / (1.0 - std::pow(config.beta1, static_cast<double>(t)));
    const double second = at.second[i] / (1.0 - std::pow(config.beta2, static_cast<double>(t)));
    if (config.optimizer == "adamw") at.value[i] -= config.rate * decay * at.value[i];
    at.value[i] -= config.rate * first / (std::sqrt(second) + config.adam_epsilon);
  }
}

void expect_five_steps(const TrainingConfig& config) {
  SCOPED_TRACE(format("{} momentum {}", config.optimizer, config.momentum));
  ThreadPool pool(2);
  // A matrix decays, a vector does not.
  std::vector<std::pair<std::string, Weight>> weights{{"matrix", Weight({7, 5})}, {"vector", Weight({33})}};
  std::vector<Expected> expected;
  for (auto& [name, weight] : weights) {
    weight.set(draw(weight.shape(), RandomKey{1}));
    const auto count = static_cast<std::size_t>(weight.elements());
    expected.push_back(
        {array_of<double>(weight.value()).values, std::vector<double>(count), std::vector<double>(count)});
  }
  const std::vector<Weight> plain{weights[0].second, weights[1].second};
  WeightGradients gradients(plain);
  Optimizer optimizer(config, weights);
  for (std::int64_t t = 1; t <= 5; ++t) {
    for (std::size_t i = 0; i < plain.size(); ++i) {
      const Tensor gradient = draw(plain[i].shape(), RandomKey{2}.fold(static_cast<std::uint64_t>(t)).fold(i));
      std::copy(gradient.floats(), gradient.floats() + gradient.elements(), gradients.of(plain[i]).floats());
      step(expected[i], array_of<double>(gradient).values, config, t, i == 0 ? config.weight_decay : 0.0, 0.25);
    }
    optimizer.step(gradients, config.rate, 0.25, pool);
  }
  EXPECT_EQ(optimizer.steps(), 5);
  for (std::size_t i = 0; i < plain.size(); ++i) {
    Array<double> values(plain[i].value().rows(), plain[i].value().width());
    values.values = expected[i].value;
    expect_array(plain[i].value(), values, unit_roundoff(DType::float32), 16.0, weights[i].first);
  }
}

TEST(Optimizer, FollowsThePapersForFiveSteps) {
  TrainingConfig config;
  config.rate = 0.05;
  config.weight_decay = 0.1;
  for (const char* name : {"adamw", "adam", "sgd"}) {
    config.optimizer = name;
    expect_five_steps(config);
  }
  config.momentum = 0.9;
  expect_five_steps(config);
}

TEST(Optimizer, KeepsTheMomentsThatItNeeds) {
  TrainingConfig config;
  const std::vector<std::pair<std::string, Weight>> weights{{"a", Weight({2})}};
  const auto names = [&](const char* optimizer, double momentum) {
    config.optimizer = optimizer;
    config.momentum = momentum;
    std::vector<std::string> found;
    for (const auto& [name, moment] : Optimizer(config, weights).state()) found.push_back(name);
    return found;
  };
  EXPECT_EQ(names("adamw", 0.0), (std::vector<std::string>{"first.a", "second.a"}));
  EXPECT_EQ(names("sgd", 0.9), (std::vector<std::string>{"first.a"}));
  EXPECT_EQ(names("sgd", 0.0), std::vector<std::string>{});
}

TEST(Optimizer, GoesOnFromItsMoments) {
  TestFolder folder;
  ThreadPool pool(1);
  TrainingConfig config;
  const Tensor start = draw({4, 4}, RandomKey{1});
  const auto run = [&](bool pause) {
    std::vector<std::pair<std::string, Weight>> weights{{"a", Weight({4, 4})}};
    Weight& weight = weights[0].second;
    weight.set(start.clone());
    WeightGradients gradients({weight});
    auto optimizer = std::make_unique<Optimizer>(config, weights);
    for (std::uint64_t t = 0; t < 4; ++t) {
      const Tensor gradient = draw({4, 4}, RandomKey{2}.fold(t));
      std::copy(gradient.floats(), gradient.floats() + 16, gradients.of(weight).floats());
      optimizer->step(gradients, 0.1, 1.0, pool);
      if (pause && t == 1) {
        write_safetensors(folder / "moments", optimizer->state());
        optimizer = std::make_unique<Optimizer>(config, weights);
        optimizer->restore(SafetensorsReader(folder / "moments"), 2);
      }
    }
    return contents(put(folder / "bytes", {reinterpret_cast<const char*>(weight.value().data()), 64}));
  };
  EXPECT_EQ(run(false), run(true));
}

/// Forward, gradients and three steps of AdamW.
std::vector<Tensor> trained(const std::string& kind, Precision precision, int threads) {
  Arena arena(std::int64_t{1} << 30);
  ThreadPool pool(threads);
  ModelConfig model_config = tiny_transformer_config(kind);
  model_config.width = 64;
  model_config.feed_forward = 256;
  const auto model = tiny_transformer(model_config);
  std::vector<Weight> weights;
  for (const auto& [name, weight] : model->weights()) weights.push_back(weight);
  WeightGradients gradients(weights);
  Optimizer optimizer(TrainingConfig{}, model->weights());
  std::vector<Tensor> results;
  for (std::uint64_t t = 0; t < 3; ++t) {
    gradients.clear();
    Pass pass(arena, pool, training_options(&gradients, precision, RandomKey{4}.fold(t)));
    const Loss loss = tiny_loss(*model, kind, pass, 40);  // hundreds of tokens: work for several threads
    pass.backward(loss);
    gradients.finish();
    results.push_back(Tensor::from({static_cast<float>(loss.total)}));
    results.push_back(gradients.buffer().clone());
    optimizer.step(gradients, 1e-3, 1.0 / static_cast<double>(loss.count), pool);
  }
  for (const Weight& weight : weights) results.push_back(weight.value().clone());
  return results;
}

TEST(Optimizer, WholeStepsAreTheSameBitsWithAnyNumberOfThreads) {
  for (const char* kind : {"encoder", "encoder-decoder"})
    for (const Precision precision : {Precision::float32, Precision::bfloat16}) {
      const std::vector<Tensor> one = trained(kind, precision, 1);
      for (const int threads : {2, 3}) {
        const std::vector<Tensor> several = trained(kind, precision, threads);
        ASSERT_EQ(one.size(), several.size());
        for (std::size_t i = 0; i < one.size(); ++i)
          EXPECT_EQ(std::memcmp(one[i].data(), several[i].data(), static_cast<std::size_t>(one[i].bytes())), 0)
              << kind << ", " << threads << " threads, result " << i;
      }
    }
}

}  // namespace

}  // namespace heed::test
