#include <gtest/gtest.h>

#include "formats/test_files.h"
#include "support/gradients.h"

namespace heed::test {

namespace {

const auto layer = [](const Vars& x) { return layer_norm(x[0], x[1], x[2]); };
const auto expected_layer = [](const auto& x) { return reference::layer_norm(x[0], x[1], x[2], 1e-5); };
const auto rms = [](const Vars& x) { return rms_norm(x[0], x[1]); };
const auto expected_rms = [](const auto& x) { return reference::rms_norm(x[0], x[1], 1e-6); };

TEST(LayerNorm, EqualsTheFormulaInDoubleWithItsGradients) {
  expect_operator({{{7, 33}, {33}, {33}}}, layer, expected_layer);
}

TEST(LayerNorm, NeedsNoBias) {
  expect_operator(
      {{{5, 16}, {16}}}, [](const Vars& x) { return layer_norm(x[0], x[1], Var(), 1e-3f); },
      [](const auto& x) { return reference::layer_norm(x[0], x[1], {}, 1e-3); });
}

TEST(LayerNorm, StoresItsResultInBfloat16WhenAsked) {
  Trial trial{{{7, 33}, {33}, {33}}};
  trial.precision = Precision::bfloat16;
  trial.twice = false;
  expect_operator(
      trial, [](const Vars& x) { return layer_norm(x[0], x[1], x[2], 1e-5f, DType::bfloat16); }, expected_layer);
}

TEST(LayerNorm, EmptyBatchGivesEmptyOutput) { expect_operator({{{0, 8}, {8}, {8}}}, layer, expected_layer); }

TEST(RmsNorm, EqualsTheFormulaInDoubleWithItsGradients) { expect_operator({{{7, 33}, {33}}}, rms, expected_rms); }

TEST(RmsNorm, StoresItsResultInBfloat16WhenAsked) {
  Trial trial{{{7, 33}, {33}}};
  trial.precision = Precision::bfloat16;
  trial.twice = false;
  expect_operator(
      trial, [](const Vars& x) { return rms_norm(x[0], x[1], 1e-6f, DType::bfloat16); }, expected_rms);
}

TEST(RmsNorm, EmptyBatchGivesEmptyOutput) { expect_operator({{{0, 8}, {8}}}, rms, expected_rms); }

TEST(RmsNorm, ManyRowsAddUpInTheGain) { expect_operator({{{300, 3}, {3}}}, rms, expected_rms); }

TEST(Norms, RowOfZerosStaysFinite) {
  Arena arena(1 << 20);
  ThreadPool pool(1);
  Pass pass(arena, pool);
  const Var x = pass.input(Tensor({1, 8}), nullptr, true), gain = pass.input(draw({8}, RandomKey{1}));
  const Var y = layer_norm(x, gain, Var()) + rms_norm(x, gain);
  for (int j = 0; j < 8; ++j) EXPECT_EQ(y.value().floats()[j], 0.0f);
  pass.backward(y, draw({1, 8}, RandomKey{2}));
  for (int j = 0; j < 8; ++j) EXPECT_TRUE(std::isfinite(pass.gradient_of(x).floats()[j]));
}

TEST(Norms, NameBothShapesWhenGainOrBiasDoNotFit) {
  Arena arena(1 << 20);
  ThreadPool pool(1);
  Pass pass(arena, pool);
  const auto of = [&](Shape shape) { return pass.input(Tensor(shape)); };
  expect_error("rms_norm: gain is [7], x is [2, 8]; gain must be [8]", [&] { rms_norm(of({2, 8}), of({7})); });
  expect_error("layer_norm: gain is [7], x is [2, 8]; gain must be [8]", [&] {
    layer_norm(of({2, 8}), of({7}), Var());
  });
  expect_error("layer_norm: bias is [9], x is [2, 8]; bias must be [8]", [&] {
    layer_norm(of({2, 8}), of({8}), of({9}));
  });
}

}  // namespace

}  // namespace heed::test
