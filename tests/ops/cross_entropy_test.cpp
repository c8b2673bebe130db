#include <gtest/gtest.h>

#include "formats/test_files.h"
#include "support/gradients.h"

namespace heed::test {

namespace {

using Targets = std::vector<std::int32_t>;

/// hidden [rows, width] against `classes`, values and gradients.
void expect_cross_entropy(const Targets& targets, std::int64_t width, std::int64_t classes, float smoothing = 0.0f,
                          bool with_bias = true, Precision precision = Precision::float32) {
  Trial trial{{{static_cast<std::int64_t>(targets.size()), width}, {classes, width}}};
  if (with_bias) trial.inputs.push_back({classes});
  trial.precision = precision;
  trial.starts_from_one = true;
  expect_operator(
      trial, [&](const Vars& x) { return cross_entropy(x[0], x[1], with_bias ? x[2] : Var(), targets, smoothing).sum; },
      [&](const auto& x) {
        std::decay_t<decltype(x[0])> loss(1, 1);
        loss(0, 0) = reference::cross_entropy(
            reference::linear(x[0], x[1], with_bias ? x[2] : std::decay_t<decltype(x[0])>()), targets, smoothing);
        return loss;
      });
}

TEST(CrossEntropy, EqualsTheFormulaInDoubleWithItsGradients) {
  for (const Precision precision : {Precision::float32, Precision::bfloat16})
    expect_cross_entropy({3, 0, 10, 5, 5}, 17, 11, 0.0f, true, precision);
}

TEST(CrossEntropy, SmoothsLabels) {
  for (const Precision precision : {Precision::float32, Precision::bfloat16})
    expect_cross_entropy({3, 0, 10, 5, 5}, 17, 11, 0.1f, false, precision);
}

TEST(CrossEntropy, DoesNotCountIgnoredTargets) {
  expect_cross_entropy({-1, 4, -1, -1, 0}, 8, 5, 0.1f);
  expect_cross_entropy({-1, -1}, 8, 5);
}

TEST(CrossEntropy, WeighsRows) {
  const Targets targets{3, 0, 10, 5};
  const std::vector<float> weights{2.0f, 0.5f, 0.0f, 1.0f};
  for (const Precision precision : {Precision::float32, Precision::bfloat16})
    expect_operator(
        {.inputs = {{4, 17}, {11, 17}}, .precision = precision, .starts_from_one = true},
        [&](const Vars& x) { return cross_entropy(x[0], x[1], Var(), targets, 0.1f, weights).sum; },
        [&](const auto& x) {
          std::decay_t<decltype(x[0])> loss(1, 1);
          for (std::int64_t row = 0; row < 4; ++row) {
            std::decay_t<decltype(x[0])> one(1, 17);
            for (std::int64_t j = 0; j < 17; ++j) one(0, j) = x[0](row, j);
            const Targets target{targets[static_cast<std::size_t>(row)]};
            loss(0, 0) +=
                static_cast<double>(weights[static_cast<std::size_t>(row)]) *
                reference::cross_entropy(reference::linear(one, x[1], std::decay_t<decltype(one)>()), target, 0.1f);
          }
          return loss;
        });
}

TEST(CrossEntropy, TakesOneRowAndOneClass) {
  expect_cross_entropy({2}, 8, 5);
  expect_cross_entropy({0, 0}, 8, 1);
}

TEST(CrossEntropy, OfNothingIsNothing) { expect_cross_entropy({}, 8, 5); }

/// So many classes that the rows are taken in several chunks.
TEST(CrossEntropy, IsTheSameInChunks) {
  Arena arena(std::int64_t{1} << 32);
  ThreadPool pool(2);
  const std::int64_t rows = 150, classes = (1 << 19) + 1, width = 2;  // chunks of 64 rows
  const Tensor hidden = draw({rows, width}, RandomKey{1}), weight = draw({classes, width}, RandomKey{2});
  Targets targets;
  for (std::int64_t i = 0; i < rows; ++i) targets.push_back(static_cast<std::int32_t>(i % 7 == 0 ? -1 : i * 1000));
  const auto run = [&](std::int64_t begin, std::int64_t end, WeightGradients& gradients, const Weight& table) {
    Pass pass(arena, pool, training_options(&gradients));
    const Var x = pass.input(hidden.slice(begin, end), nullptr, true);
    const std::span<const std::int32_t> part(targets.data() + begin, static_cast<std::size_t>(end - begin));
    const Loss loss = cross_entropy(x, pass.use(table), Var(), part, 0.1f);
    pass.backward(loss);
    return std::pair(loss.total, pass.gradient_of(x).clone());
  };
  Weight whole({classes, width}), parts({classes, width});
  whole.set(weight);
  parts.set(weight);
  WeightGradients whole_gradients({whole}), part_gradients({parts});
  whole_gradients.clear();
  part_gradients.clear();
  const auto [total, gradient] = run(0, rows, whole_gradients, whole);
  double sum = 0.0;
  for (std::int64_t begin = 0; begin < rows; begin += 50) {
    const auto [part_total, part_gradient] = run(begin, begin + 50, part_gradients, parts);
    sum += part_total;
    expect_array(gradient.slice(begin, begin + 50), array_of<double>(part_gradient), unit_roundoff(DType::float32), 8.0,
                 "gradient of hidden");
  }
  expect_close(total, sum, sum, 4.0);
  expect_array(whole_gradients.of(whole), array_of<double>(part_gradients.of(parts)), unit_roundoff(DType::float32),
               8.0, "gradient of the weight");
}

TEST(CrossEntropy, CountsPredictionsAndHits) {
  Arena arena(1 << 20);
  ThreadPool pool(1);
  Pass pass(arena, pool);
  const Var hidden = pass.input(Tensor::from({5, 0, 0, 5, 5, 0, 5, 0}).reshaped({4, 2}));
  const Var weight = pass.input(Tensor::from({1, 0, 0, 1}).reshaped({2, 2}));
  const Loss loss = cross_entropy(hidden, weight, Var(), Targets{0, 1, 1, -1}, 0.2f);
  EXPECT_EQ(loss.count, 3);
  EXPECT_EQ(loss.correct, 2);
  const double hit = std::log1p(std::exp(-5.0)), miss = 5.0 + hit;
  expect_close(loss.negative_log_likelihood, 2.0 * hit + miss, 5.0, 4.0);
  const double smoothed_hit = 0.9 * hit + 0.1 * miss, smoothed_miss = 0.1 * hit + 0.9 * miss;
  expect_close(loss.total, 2.0 * smoothed_hit + smoothed_miss, 5.0, 4.0);
  EXPECT_EQ(loss.sum.value().floats()[0], static_cast<float>(loss.total));
}

TEST(CrossEntropy, StaysFiniteForFarLogits) {
  Arena arena(1 << 20);
  ThreadPool pool(1);
  Pass pass(arena, pool);
  const Var hidden = pass.input(Tensor::from({1e4f, -1e4f}).reshaped({2, 1}));
  const Loss loss = cross_entropy(hidden, pass.input(Tensor::from({1, -1}).reshaped({2, 1})), Var(), Targets{0, 0});
  EXPECT_EQ(loss.total, 2e4);
}

TEST(CrossEntropy, NamesWhatDoesNotFit) {
  Arena arena(1 << 20);
  ThreadPool pool(1);
  Pass pass(arena, pool);
  const Var hidden = pass.input(Tensor({2, 8}), nullptr, true), weight = pass.input(Tensor({5, 8}));
  expect_error("cross_entropy: hidden is [2, 8], weight is [5, 7]; weight must be [classes, 8]", [&] {
    cross_entropy(hidden, pass.input(Tensor({5, 7})), Var(), Targets{0, 0});
  });
  expect_error("cross_entropy: 3 targets for 2 rows", [&] { cross_entropy(hidden, weight, Var(), Targets{0, 0, 0}); });
  expect_error("cross_entropy: target 5 of row 1 is outside the 5 classes", [&] {
    cross_entropy(hidden, weight, Var(), Targets{0, 5});
  });
  expect_error("cross_entropy: bias is [4], x is [2, 8]; bias must be [5]", [&] {
    cross_entropy(hidden, weight, pass.input(Tensor({4})), Targets{0, 0});
  });
  const Loss loss = cross_entropy(hidden, weight, Var(), Targets{0, 0});
  expect_error("cross_entropy: backward must start from the loss itself (gradient 1, not 2)",
               [&] { pass.backward(loss.sum, Tensor::from({2.0f})); });
}

/// A row whose own class is rare, against classes of which most are not drawn.
struct Sampled {
  static constexpr std::int64_t classes = 60, samples = 15;
  Tensor hidden = draw({2, 8}, RandomKey{1}), bias = draw({classes}, RandomKey{3});
  Weight weight{{classes, 8}};
  Arena arena{1 << 22};
  ThreadPool pool{1};
  WeightGradients gradients{{weight}};
  Sampled() { weight.set(draw({classes, 8}, RandomKey{2}, 0.5f)); }

  std::pair<double, Tensor> loss_of(const Targets& targets, std::uint64_t key) {
    PassOptions options = training_options(&gradients);
    options.key = RandomKey{key};
    gradients.clear();
    Pass pass(arena, pool, options);
    const Var x = pass.input(hidden, nullptr, true);
    const Loss loss = sampled_cross_entropy(x, pass.use(weight), pass.input(bias), targets, samples);
    pass.backward(loss);
    return {loss.total, pass.gradient_of(x).clone()};
  }
};

TEST(SampledCrossEntropy, MeetsTheSumOverAllClassesOnAverage) {
  Sampled sampled;
  Pass pass(sampled.arena, sampled.pool);
  const Var hidden = pass.input(sampled.hidden), weight = pass.input(sampled.weight.value()),
            bias = pass.input(sampled.bias);
  const Targets targets{50, -1};
  const double all = std::exp(cross_entropy(hidden, weight, bias, targets).total);
  double sum = 0.0, squares = 0.0;
  constexpr int draws = 4000;
  for (std::uint64_t key = 0; key < draws; ++key) {
    const double one = std::exp(sampled.loss_of(targets, key).first);
    sum += one, squares += one * one;
  }
  const double mean = sum / draws, deviation = std::sqrt((squares / draws - mean * mean) / draws);
  EXPECT_GT(deviation, 0.0);
  EXPECT_NEAR(mean, all, 4.0 * deviation);
}

TEST(SampledCrossEntropy, GradientsEqualCentralDifferences) {
  Sampled sampled;
  const Targets targets{50, 3};
  const Tensor of_hidden = sampled.loss_of(targets, 5).second;
  const Tensor of_weight = sampled.gradients.of(sampled.weight).clone();
  const auto expect_slope = [&](float& value, float gradient) {
    constexpr float step = 1e-2f;
    const float before = value;
    value = before + step;
    const double above = sampled.loss_of(targets, 5).first;
    value = before - step;
    const double below = sampled.loss_of(targets, 5).first;
    value = before;
    EXPECT_NEAR((above - below) / (2.0 * static_cast<double>(step)), static_cast<double>(gradient), 2e-3);
  };
  for (std::int64_t i = 0; i < 16; ++i) expect_slope(sampled.hidden.floats()[i], of_hidden.floats()[i]);
  for (std::int64_t i = 0; i < Sampled::classes * 8; i += 7)
    expect_slope(sampled.weight.change().floats()[i], of_weight.floats()[i]);
}

TEST(SampledCrossEntropy, NeedsFewerSamplesThanClasses) {
  Sampled sampled;
  Pass pass(sampled.arena, sampled.pool);
  const Var hidden = pass.input(sampled.hidden), weight = pass.input(sampled.weight.value());
  expect_error("60 of 60 classes are to be drawn; fewer than there are must be", [&] {
    sampled_cross_entropy(hidden, weight, Var(), Targets{1, 2}, 60);
  });
  expect_error("target 60 of row 1 is outside the 60 classes", [&] {
    sampled_cross_entropy(hidden, weight, Var(), Targets{1, 60}, 10);
  });
}

}  // namespace

}  // namespace heed::test
