#include <gtest/gtest.h>

#include "formats/test_files.h"
#include "support/gradients.h"

namespace heed::test {

namespace {

constexpr ActivationKind kinds[] = {ActivationKind::relu, ActivationKind::gelu, ActivationKind::gelu_tanh,
                                    ActivationKind::silu, ActivationKind::tanh, ActivationKind::sigmoid};

TEST(Activation, EqualsTheFormulaInDoubleWithItsGradient) {
  for (const ActivationKind kind : kinds) {
    SCOPED_TRACE(static_cast<int>(kind));
    const auto op = [&](const Vars& x) { return activate(x[0], kind); };
    const auto expected = [&](const auto& x) { return reference::activate(x[0], kind); };
    expect_operator({{{7, 33}}}, op, expected);
    expect_operator({{{0, 8}}}, op, expected);
    Trial rounded{{{7, 33}}};
    rounded.dtype = DType::bfloat16;
    rounded.twice = false;
    expect_operator(rounded, op, expected);
  }
}

TEST(Activation, GatedEqualsTheFormulaInDoubleWithItsGradient) {
  for (const ActivationKind kind : kinds) {
    SCOPED_TRACE(static_cast<int>(kind));
    const auto op = [&](const Vars& x) { return gated(x[0], kind); };
    const auto expected = [&](const auto& x) { return reference::gated(x[0], kind); };
    expect_operator({{{7, 66}}}, op, expected);
    expect_operator({{{0, 8}}}, op, expected);
    Trial rounded{{{7, 66}}};
    rounded.dtype = DType::bfloat16;
    rounded.twice = false;
    expect_operator(rounded, op, expected);
  }
}

TEST(Activation, IsFoundByItsName) {
  EXPECT_EQ(activation_named("relu"), ActivationKind::relu);
  EXPECT_EQ(activation_named("gelu_tanh"), ActivationKind::gelu_tanh);
  EXPECT_EQ(activation_named("sigmoid"), ActivationKind::sigmoid);
  expect_error("activation \"swish\" is unknown: relu, gelu, gelu_tanh, silu, tanh and sigmoid are known",
               [] { activation_named("swish"); });
}

TEST(Activation, GatedRefusesAnOddWidth) {
  Arena arena(1 << 20);
  ThreadPool pool(1);
  Pass pass(arena, pool);
  expect_error("gated: x is [2, 7]; its width must be twice the result's", [&] {
    gated(pass.input(Tensor({2, 7})), ActivationKind::silu);
  });
}

}  // namespace

}  // namespace heed::test
