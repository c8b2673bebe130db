#include <gtest/gtest.h>

#include "formats/test_files.h"
#include "support/gradients.h"

namespace heed::test {

namespace {

const std::vector<std::int32_t> some_ids{3, 0, 4, 3, 3, 1, 0};

TEST(Embedding, GathersScaledRowsAndAddsUpTheGradientsOfEqualIds) {
  expect_operator(
      {{{5, 33}}},
      [](const Vars& x) {
        return embedding(x[0].pass(), some_ids, sequences_of_lengths({4, 3}), x[0], 1.5f);
      },
      [](const auto& x) { return reference::gather(x[0], some_ids, 1.5); });
}

TEST(Embedding, NoIdsGiveNoRows) {
  expect_operator(
      {{{5, 8}}}, [](const Vars& x) { return embedding(x[0].pass(), {}, sequences_of_lengths({}), x[0]); },
      [](const auto& x) { return reference::gather(x[0], {}); });
}

TEST(Embedding, DividesItsRowsIntoTheSequences) {
  Arena arena(1 << 20);
  ThreadPool pool(1);
  Pass pass(arena, pool);
  const auto sequences = sequences_of_lengths({4, 3});
  EXPECT_EQ(embedding(pass, some_ids, sequences, pass.input(Tensor({5, 8}))).sequences_pointer(), sequences);
}

TEST(Embedding, NamesAnIdOutsideTheTable) {
  Arena arena(1 << 20);
  ThreadPool pool(1);
  Pass pass(arena, pool);
  const Var table = pass.input(Tensor({5, 8}));
  const std::vector<std::int32_t> beyond{1, 5}, negative{-1};
  expect_error("embedding: id 5 at place 1 is outside the table of 5 entries",
               [&] { embedding(pass, beyond, sequences_of_lengths({2}), table); });
  expect_error("embedding: id -1 at place 0 is outside the table of 5 entries",
               [&] { embedding(pass, negative, sequences_of_lengths({1}), table); });
  expect_error("embedding: 2 ids for sequences of 3 tokens together",
               [&] { embedding(pass, beyond, sequences_of_lengths({3}), table); });
}

TEST(Positions, LearnedRowsAreAddedByPosition) {
  expect_operator(
      {{{9, 17}, {6, 17}}, {sequences_of_lengths({4, 0, 5})}},
      [](const Vars& x) { return add_learned_positions(x[0], x[1]); },
      [](const auto& x) {
        return reference::add(x[0], reference::gather(x[1], reference::positions_of(*sequences_of_lengths({4, 0, 5}))));
      });
}

TEST(Positions, SinusoidsAreThoseOfThePaperAtEvenAndOddWidths) {
  const auto sequences = sequences_of_lengths({1, 40, 3});
  for (const std::int64_t width : {1, 7, 16})
    expect_operator(
        {{{44, width}}, {sequences}}, [](const Vars& x) { return add_sinusoidal_positions(x[0]); },
        [&](const auto& x) { return reference::add_sinusoidal_positions(x[0], *sequences); });
}

TEST(Positions, ContinueWhereASequenceStands) {
  auto later = std::make_shared<Sequences>(*sequences_of_lengths({2, 3}));
  later->positions = {5, 1};
  expect_operator(
      {{{5, 16}}, {later}}, [](const Vars& x) { return add_sinusoidal_positions(x[0]); },
      [&](const auto& x) { return reference::add_sinusoidal_positions(x[0], *later); });
}

TEST(Positions, OfAnEmptyBatchAreNone) {
  const auto none = sequences_of_lengths({});
  expect_operator(
      {{{0, 16}}, {none}}, [](const Vars& x) { return add_sinusoidal_positions(x[0]); },
      [](const auto& x) { return x[0]; });
  expect_operator(
      {{{0, 16}, {4, 16}}, {none}}, [](const Vars& x) { return add_learned_positions(x[0], x[1]); },
      [](const auto& x) { return x[0]; });
}

TEST(Positions, BeyondTheTableAreNamed) {
  Arena arena(1 << 20);
  ThreadPool pool(1);
  Pass pass(arena, pool);
  const Var x = pass.input(Tensor({5, 8}), sequences_of_lengths({5}));
  expect_error("a sequence reaches position 5, but the model has learned only 4: raise model.context or cut the input",
               [&] {
                 add_learned_positions(x, pass.input(Tensor({4, 8})));
               });
  expect_error("add_learned_positions: x is [5, 8], the table is [5, 7]", [&] {
    add_learned_positions(x, pass.input(Tensor({5, 7})));
  });
  expect_error("a value of shape [5, 8] is not divided into sequences", [&] {
    add_sinusoidal_positions(pass.input(Tensor({5, 8})));
  });
}

}  // namespace

}  // namespace heed::test
