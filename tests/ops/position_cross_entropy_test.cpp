#include <gtest/gtest.h>

#include "formats/test_files.h"
#include "support/gradients.h"

namespace heed::test {

namespace {

using Targets = std::vector<std::int32_t>;

TEST(PositionCrossEntropy, IsACrossEntropyOverTheTokensOfEachSequence) {
  const auto sequences = sequences_of_lengths({3, 1, 5});
  const Targets first{2, 0, 4}, last{-1, 0, 1};
  expect_operator(
      {.inputs = {{9, 2}}, .sequences = {sequences}, .starts_from_one = true},
      [&](const Vars& x) {
        return position_cross_entropy(x[0], {first, last}).sum;
      },
      [&](const auto& x) {
        using T = std::decay_t<decltype(x[0].values[0])>;
        std::decay_t<decltype(x[0])> loss(1, 1);
        for (std::int64_t column = 0; column < 2; ++column)
          for (std::int64_t i = 0; i < 3; ++i) {
            const std::int32_t target = (column == 0 ? first : last)[static_cast<std::size_t>(i)];
            if (target < 0) continue;
            T sum = 0.0;
            for (std::int64_t t = 0; t < sequences->length(i); ++t)
              sum += std::exp(x[0](sequences->begin(i) + t, column));
            loss(0, 0) += std::log(sum) - x[0](sequences->begin(i) + target, column);
          }
        return loss;
      });
}

TEST(PositionCrossEntropy, CountsWhatIsRightAndNamesWhatDoesNotFit) {
  Arena arena(1 << 20);
  ThreadPool threads(1);
  Pass pass(arena, threads);
  const Var scores = pass.input(Tensor::from({0.0f, 5.0f, 1.0f}).reshaped({3, 1}), sequences_of_lengths({2, 1}), true);
  const Targets right{1, 0}, outside{2, 0}, one{1};
  const Loss loss = position_cross_entropy(scores, {right});
  EXPECT_EQ(loss.count, 2);
  EXPECT_EQ(loss.correct, 2);
  expect_error("target 2 of sequence 0 is outside its 2 tokens", [&] { position_cross_entropy(scores, {outside}); });
  expect_error("1 targets for 2 sequences", [&] { position_cross_entropy(scores, {one}); });
  expect_error("2 lists of targets for scores [3, 1]", [&] { position_cross_entropy(scores, {right, right}); });
}

TEST(TakeRows, GivesTheRowsAndTheirGradients) {
  const std::vector<std::int64_t> rows{0, 2, 3, 6};
  const auto sequences = sequences_of_lengths({1, 3});
  expect_operator(
      {{{7, 5}}}, [&](const Vars& x) { return take_rows(x[0], rows, sequences); },
      [&](const auto& x) {
        std::decay_t<decltype(x[0])> taken(4, 5);
        for (std::int64_t i = 0; i < 4; ++i)
          for (std::int64_t j = 0; j < 5; ++j) taken(i, j) = x[0](rows[static_cast<std::size_t>(i)], j);
        return taken;
      });
}

TEST(JoinRows, PutsThePartsInTheirPlaces) {
  const auto sequences = sequences_of_lengths({4, 1});
  const std::vector<std::vector<std::int64_t>> rows{{1, 4}, {}, {0, 2, 3}};
  expect_operator(
      {{{2, 3}, {0, 3}, {3, 3}}}, [&](const Vars& x) { return join_rows(x, rows, sequences); },
      [&](const auto& x) {
        std::decay_t<decltype(x[0])> joined(5, 3);
        for (std::size_t p = 0; p < rows.size(); ++p)
          for (std::size_t i = 0; i < rows[p].size(); ++i)
            for (std::int64_t j = 0; j < 3; ++j) joined(rows[p][i], j) = x[p](static_cast<std::int64_t>(i), j);
        return joined;
      });
}

TEST(JoinRows, RefusesPartsThatAreNotTheWhole) {
  Arena arena(1 << 20);
  ThreadPool threads(1);
  Pass pass(arena, threads);
  const Vars parts{pass.input(Tensor({2, 3}))};
  const std::vector<std::vector<std::int64_t>> right{{0, 2}}, wrong{{0}};
  expect_error("parts of 2 rows for sequences of 3 tokens",
               [&] { join_rows(parts, right, sequences_of_lengths({3})); });
  expect_error("part 0 is float32 [2, 3] for 1 rows", [&] { join_rows(parts, wrong, sequences_of_lengths({1})); });
}

TEST(TakeRows, RefusesRowsThatDoNotAscend) {
  Arena arena(1 << 20);
  ThreadPool threads(1);
  Pass pass(arena, threads);
  const Var x = pass.input(Tensor({3, 2}), nullptr, true);
  const std::vector<std::int64_t> twice{1, 1}, outside{0, 3};
  expect_error("rows must ascend and lie within x", [&] { take_rows(x, twice, nullptr); });
  expect_error("row 3 of x [3, 2]", [&] { take_rows(x, outside, nullptr); });
}

}  // namespace

}  // namespace heed::test
