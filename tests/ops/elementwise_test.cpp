#include <gtest/gtest.h>

#include "formats/test_files.h"
#include "support/gradients.h"

namespace heed::test {

namespace {

TEST(Add, EqualsTheSumAndPassesItsGradientOn) {
  const auto op = [](const Vars& x) { return x[0] + x[1]; };
  const auto expected = [](const auto& x) { return reference::add(x[0], x[1]); };
  expect_operator({{{7, 33}, {7, 33}}}, op, expected);
  expect_operator({{{0, 8}, {0, 8}}}, op, expected);
}

TEST(Add, OfAValueToItselfDoublesTheGradient) {
  expect_operator(
      {{{7, 33}}}, [](const Vars& x) { return x[0] + x[0]; }, [](const auto& x) { return reference::add(x[0], x[0]); });
}

TEST(Add, NamesBothShapesWhenTheyDiffer) {
  Arena arena(1 << 20);
  ThreadPool pool(1);
  Pass pass(arena, pool);
  expect_error("add: x is [2, 8], y is [2, 7]; both must have one shape", [&] {
    add(pass.input(Tensor({2, 8})), pass.input(Tensor({2, 7})));
  });
}

TEST(Multiply, EqualsTheProductAndItsGradients) {
  const auto op = [](const Vars& x) { return multiply(x[0], x[1]); };
  const auto expected = [](const auto& x) { return reference::multiply(x[0], x[1]); };
  expect_operator({{{7, 33}, {7, 33}}}, op, expected);
  expect_operator({{{0, 8}, {0, 8}}}, op, expected);
  expect_operator(
      {{{7, 33}}}, [](const Vars& x) { return multiply(x[0], x[0]); },
      [](const auto& x) { return reference::multiply(x[0], x[0]); });
}

TEST(Multiply, NamesBothShapesWhenTheyDiffer) {
  Arena arena(1 << 20);
  ThreadPool pool(1);
  Pass pass(arena, pool);
  expect_error("multiply: x is [2, 8], y is [2, 7]; both must have one shape", [&] {
    multiply(pass.input(Tensor({2, 8})), pass.input(Tensor({2, 7})));
  });
}

Trial random_trial(std::vector<Shape> inputs) {
  Trial trial{std::move(inputs)};
  trial.twice = false;  // a second call draws anew
  return trial;
}

TEST(Dropout, DropsTheSameElementsInForwardAndBackward) {
  const auto op = [](const Vars& x) { return dropout(x[0], 0.3f); };
  const auto expected = [](const auto& x) { return reference::dropout(x[0], 0.3f, random_call(0)); };
  expect_operator(random_trial({{7, 33}}), op, expected);
  expect_operator(random_trial({{0, 33}}), op, expected);
}

TEST(Dropout, AddsToAResidual) {
  expect_operator(
      random_trial({{7, 33}, {7, 33}}), [](const Vars& x) { return add_dropout(x[0], x[1], 0.3f); },
      [](const auto& x) { return reference::add(x[0], reference::dropout(x[1], 0.3f, random_call(0))); });
}

TEST(Dropout, DrawsAnewAtEachCall) {
  expect_operator(
      random_trial({{7, 33}}), [](const Vars& x) { return dropout(dropout(x[0], 0.3f), 0.5f); },
      [](const auto& x) {
        return reference::dropout(reference::dropout(x[0], 0.3f, random_call(0)), 0.5f, random_call(1));
      });
}

TEST(Dropout, KeepsTheMeanAndDropsTheRate) {
  Arena arena(1 << 26);
  ThreadPool pool(2);
  Pass pass(arena, pool, training_options());
  Tensor ones({1000, 1000});
  ones.fill(1.0f);
  const Var y = dropout(pass.input(ones), 0.2f);
  double sum = 0.0, zeros = 0.0;
  for (std::int64_t i = 0; i < ones.elements(); ++i) {
    sum += y.value().floats()[i];
    zeros += y.value().floats()[i] == 0.0f;
  }
  const double deviation = std::sqrt(0.2 * 0.8 / static_cast<double>(ones.elements()));
  EXPECT_NEAR(zeros / static_cast<double>(ones.elements()), 0.2, 4.0 * deviation);
  EXPECT_NEAR(sum / static_cast<double>(ones.elements()), 1.0, 4.0 * deviation / 0.8);
}

TEST(Dropout, OutsideTrainingIsNothing) {
  Trial trial{{{7, 33}}};
  trial.training = false;
  expect_operator(
      trial, [](const Vars& x) { return dropout(x[0], 0.3f); }, [](const auto& x) { return x[0]; });
  trial.inputs.push_back({7, 33});
  expect_operator(
      trial, [](const Vars& x) { return add_dropout(x[0], x[1], 0.3f); },
      [](const auto& x) { return reference::add(x[0], x[1]); });
}

TEST(Dropout, RefusesARateThatIsNone) {
  Arena arena(1 << 20);
  ThreadPool pool(1);
  Pass pass(arena, pool, training_options());
  const Var x = pass.input(Tensor({2, 8}));
  expect_error("dropout: rate is 1; it must be in [0, 1)", [&] { dropout(x, 1.0f); });
  expect_error("dropout: rate is -0.5; it must be in [0, 1)", [&] { dropout(x, -0.5f); });
  expect_error("add_dropout: rate is 1; it must be in [0, 1)", [&] { add_dropout(x, x, 1.0f); });
  expect_error("add_dropout: x is [2, 7], residual is [2, 8]", [&] {
    add_dropout(x, pass.input(Tensor({2, 7})), 0.5f);
  });
}

}  // namespace

}  // namespace heed::test
