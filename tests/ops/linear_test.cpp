#include <gtest/gtest.h>

#include "formats/test_files.h"
#include "support/gradients.h"

namespace heed::test {

namespace {

const auto with_bias = [](const Vars& x) { return linear(x[0], x[1], x[2]); };
const auto without_bias = [](const Vars& x) { return linear(x[0], x[1], Var()); };
const auto expected = [](const auto& x) {
  return reference::linear(x[0], x[1], x.size() > 2 ? x[2] : std::decay_t<decltype(x[0])>());
};

TEST(Linear, EqualsTheProductInDoubleWithItsGradients) {
  expect_operator_in_both_precisions({{{7, 33}, {19, 33}, {19}}}, with_bias, expected);
}

TEST(Linear, NeedsNoBias) { expect_operator_in_both_precisions({{{5, 16}, {24, 16}}}, without_bias, expected); }

TEST(Linear, TakesOneTokenAndWidthsOfOne) {
  expect_operator({{{1, 40}, {3, 40}, {3}}}, with_bias, expected);
  expect_operator({{{4, 1}, {1, 1}, {1}}}, with_bias, expected);
}

TEST(Linear, TakesRowsInBfloat16) {
  Trial trial{{{9, 32}, {17, 32}, {17}}};
  trial.dtype = DType::bfloat16;
  expect_operator_in_both_precisions(trial, with_bias, expected);
}

TEST(Linear, StoresItsResultInBfloat16WhenAsked) {
  Trial trial{{{9, 32}, {17, 32}, {17}}};
  trial.precision = Precision::bfloat16;
  trial.twice = false;
  expect_operator(
      trial, [](const Vars& x) { return linear(x[0], x[1], x[2], DType::bfloat16); }, expected);
}

TEST(Linear, EmptyBatchGivesEmptyOutputAndZeroGradients) {
  expect_operator({{{0, 8}, {5, 8}, {5}}}, with_bias, expected);
}

TEST(Linear, AddsAResidualInTheSameProduct) {
  expect_operator_in_both_precisions(
      {{{7, 33}, {19, 33}, {19}, {7, 19}}}, [](const Vars& x) { return linear_add(x[0], x[1], x[2], x[3]); },
      [](const auto& x) { return reference::add(reference::linear(x[0], x[1], x[2]), x[3]); });
}

TEST(Linear, AddsItsOwnInputAsTheResidual) {
  expect_operator_in_both_precisions(
      {{{7, 24}, {24, 24}}}, [](const Vars& x) { return linear_add(x[0], x[1], Var(), x[0]); },
      [](const auto& x) { return reference::add(reference::linear(x[0], x[1]), x[0]); });
}

TEST(Linear, NamesBothShapesWhenTheyDoNotFit) {
  Arena arena(1 << 20);
  ThreadPool pool(1);
  Pass pass(arena, pool);
  const auto of = [&](Shape shape) { return pass.input(Tensor(shape)); };
  expect_error("linear: x is [2, 8], weight is [3, 7]; weight must be [out, 8]", [&] {
    linear(of({2, 8}), of({3, 7}), Var());
  });
  expect_error("linear: bias is [4], x is [2, 8]; bias must be [3]", [&] { linear(of({2, 8}), of({3, 8}), of({4})); });
  expect_error("linear: residual is [2, 4], the product is [2, 3]", [&] {
    linear_add(of({2, 8}), of({3, 8}), Var(), of({2, 4}));
  });
}

}  // namespace

}  // namespace heed::test
