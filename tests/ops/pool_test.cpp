#include <gtest/gtest.h>

#include "formats/test_files.h"
#include "support/gradients.h"

namespace heed::test {

namespace {

TEST(Pool, EveryKindEqualsItsDefinitionWithGradients) {
  const auto sequences = sequences_of_lengths({4, 1, 7});
  for (const Pooling kind : {Pooling::mean, Pooling::first, Pooling::max, Pooling::last, Pooling::ends}) {
    SCOPED_TRACE(static_cast<int>(kind));
    expect_operator(
        {{{12, 17}}, {sequences}}, [&](const Vars& x) { return pool(x[0], kind); },
        [&](const auto& x) { return reference::pool(x[0], kind, *sequences); });
  }
}

TEST(Pool, GivesNoRowsForNoSequences) {
  const auto none = sequences_of_lengths({});
  for (const Pooling kind : {Pooling::mean, Pooling::first, Pooling::max, Pooling::last, Pooling::ends})
    expect_operator(
        {{{0, 8}}, {none}}, [&](const Vars& x) { return pool(x[0], kind); },
        [&](const auto& x) { return reference::pool(x[0], kind, *none); });
}

TEST(Pool, MaxOfEqualsIsTheFirst) {
  Arena arena(1 << 20);
  ThreadPool threads(1);
  Pass pass(arena, threads);
  const Var x = pass.input(Tensor({3, 1}), sequences_of_lengths({3}), true);
  const Var y = pool(x, Pooling::max);
  pass.backward(y, Tensor::from({2.0f}).reshaped({1, 1}));
  const Tensor gradient = pass.gradient_of(x);
  EXPECT_EQ(gradient.floats()[0], 2.0f);
  EXPECT_EQ(gradient.floats()[1], 0.0f);
  EXPECT_EQ(gradient.floats()[2], 0.0f);
}

TEST(Pool, RowsOfAPoolAreNoSequences) {
  Arena arena(1 << 20);
  ThreadPool threads(1);
  Pass pass(arena, threads);
  const Var y = pool(pass.input(Tensor({3, 2}), sequences_of_lengths({1, 2})), Pooling::mean);
  expect_error("a value of shape [2, 2] is not divided into sequences", [&] { y.sequences(); });
}

TEST(Pool, NamesASequenceWithoutTokens) {
  Arena arena(1 << 20);
  ThreadPool threads(1);
  Pass pass(arena, threads);
  const Var x = pass.input(Tensor({3, 2}), sequences_of_lengths({2, 0, 1}));
  expect_error("pool: sequence 1 has no tokens", [&] { pool(x, Pooling::mean); });
}

}  // namespace

}  // namespace heed::test
