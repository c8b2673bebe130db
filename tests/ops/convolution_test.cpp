#include <gtest/gtest.h>

#include "formats/test_files.h"
#include "support/gradients.h"

namespace heed::test {

namespace {

void expect_convolution(const std::vector<std::int64_t>& lengths, std::int64_t width, bool with_bias = true,
                        Trial trial = {}) {
  SCOPED_TRACE(format("kernel {} wide, {} sequences", width, lengths.size()));
  const auto sequences = sequences_of_lengths(lengths);
  trial.inputs = {{sequences->tokens(), 3}, {5, width * 3}};
  trial.sequences = {sequences};
  if (with_bias) trial.inputs.push_back({5});
  expect_operator_in_both_precisions(
      trial, [&](const Vars& x) { return convolve(x[0], x[1], with_bias ? x[2] : Var(), width); },
      [&](const auto& x) {
        using Numbers = std::decay_t<decltype(x[0])>;
        return reference::convolve(x[0], x[1], with_bias ? x[2] : Numbers(), width, *sequences);
      });
}

TEST(Convolution, EqualsItsDefinitionWithGradients) {
  for (const std::int64_t width : {1, 2, 3, 4, 5}) expect_convolution({6, 1, 9, 3}, width);
}

TEST(Convolution, TakesSequencesThatAreShorterThanItsKernel) {
  expect_convolution({1}, 5);
  expect_convolution({2, 1, 1, 3}, 8);
  expect_convolution({0, 2, 0, 0, 1, 0}, 3);
}

TEST(Convolution, NoSequencesGiveNoRowsAndZeroGradients) {
  for (const std::int64_t width : {1, 2, 5}) expect_convolution({}, width);
  expect_convolution({0, 0}, 3);
}

TEST(Convolution, NeedsNoBiasAndTakesRoundedRows) {
  Trial trial;
  trial.dtype = DType::bfloat16;
  expect_convolution({4, 2}, 3, false, trial);
}

TEST(Convolution, NamesWhatDoesNotFit) {
  Arena arena(1 << 20);
  ThreadPool threads(1);
  Pass pass(arena, threads);
  const Var x = pass.input(Tensor({3, 2}), sequences_of_lengths({3})), weight = pass.input(Tensor({4, 6}));
  expect_error("convolve: the kernel is 0 wide; it must be 1 or more", [&] { convolve(x, weight, Var(), 0); });
  expect_error("convolve: x is [3, 2], weight is [4, 6]; a kernel 2 wide needs [out, 4]",
               [&] { convolve(x, weight, Var(), 2); });
  expect_error("convolve: bias is [3], x is [3, 2]; bias must be [4]",
               [&] { convolve(x, weight, pass.input(Tensor({3})), 3); });
  expect_error("is not divided into sequences", [&] { convolve(pass.input(Tensor({3, 2})), weight, Var(), 3); });
}

TEST(Beside, HasTheColumnsOfBothWithGradients) {
  expect_operator(
      {{{4, 3}, {4, 2}}}, [](const Vars& x) { return beside(x[0], x[1]); },
      [](const auto& x) {
        auto both = x[0];
        both.width = 5;
        both.values.resize(20);
        for (std::int64_t i = 0; i < 4; ++i)
          for (std::int64_t j = 0; j < 5; ++j) both(i, j) = j < 3 ? x[0](i, j) : x[1](i, j - 3);
        return both;
      });
  Arena arena(1 << 20);
  ThreadPool threads(1);
  Pass pass(arena, threads);
  expect_error("beside: x is float32 [3, 2], y is float32 [2, 2]", [&] {
    beside(pass.input(Tensor({3, 2})), pass.input(Tensor({2, 2})));
  });
}

}  // namespace

}  // namespace heed::test
