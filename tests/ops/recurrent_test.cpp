#include "support/recurrent.h"

#include <gtest/gtest.h>

#include "formats/test_files.h"
#include "support/gradients.h"
#include "support/instruction_sets.h"

namespace heed::test {

namespace {

constexpr RecurrentCell all_cells[] = {RecurrentCell::lstm, RecurrentCell::gru, RecurrentCell::gru_reset_after,
                                       RecurrentCell::tanh, RecurrentCell::relu};
constexpr Direction all_directions[] = {Direction::forward, Direction::backward, Direction::both};

/// A copy of x with a gradient: what `recurrent` may write into.
Var fresh_gates(const Var& x) {
  Tensor zeros = x.pass().tensor(x.shape());
  zeros.fill(0.0f);
  return add(x, x.pass().input(zeros));
}

struct Network {
  RecurrentCell cell;
  Direction direction;
  std::int64_t hidden;
  std::vector<std::int64_t> lengths;
  bool with_bias = true, with_state = true;
  Precision precision = Precision::float32;

  std::int64_t sides() const { return direction == Direction::both ? 2 : 1; }
  std::int64_t width() const { return sides() * gates_of(cell) * hidden; }
  Trial trial() const {
    const auto sequences = sequences_of_lengths(lengths);
    Trial trial{{{sequences->tokens(), width()}, {width(), hidden}}, {sequences}};
    if (with_bias) trial.inputs.push_back({width()});
    if (with_state) trial.inputs.push_back({sequences->count(), sides() * state_width(cell, hidden)});
    trial.precision = precision;
    // A few tokens, and slopes 1 - y² of gates that are nearly 1; a single unit may have no others.
    trial.steps = hidden == 1 ? 64.0 : 8.0;
    return trial;
  }
  RecurrentResult run(const Vars& x) const {
    return recurrent(fresh_gates(x[0]), x[1], with_bias ? x[2] : Var(), with_state ? x.back() : Var(), cell, direction);
  }
  template <class T>
  reference::Recurrent<T> expected(const std::vector<Array<T>>& x) const {
    return reference::recurrent(x[0], x[1], with_bias ? x[2] : Array<T>(), with_state ? x.back() : Array<T>(),
                                *sequences_of_lengths(lengths), cell, direction);
  }
};

/// Values and gradients of the outputs, then those that come from the final states alone.
void expect_network(const Network& network) {
  SCOPED_TRACE(format("cell {} direction {} hidden {} sequences {}", static_cast<int>(network.cell),
                      static_cast<int>(network.direction), network.hidden, network.lengths.size()));
  expect_operator(
      network.trial(), [&](const Vars& x) { return network.run(x).output; },
      [&](const auto& x) { return network.expected(x).output; });
  expect_operator(
      network.trial(), [&](const Vars& x) { return network.run(x).state; },
      [&](const auto& x) { return network.expected(x).state; });
}

TEST(Recurrent, EveryCellInEveryDirectionEqualsItsDefinitionWithGradients) {
  for (const RecurrentCell cell : all_cells)
    for (const Direction direction : all_directions) expect_network({cell, direction, 5, {3, 1, 4, 2}});
}

TEST(Recurrent, TakesWidthsAroundThoseOfVectors) {
  on_every_instruction_set([] {
    for (const RecurrentCell cell : all_cells)
      for (const std::int64_t hidden : {1, 17}) expect_network({cell, Direction::forward, hidden, {2, 1}});
  });
}

TEST(Recurrent, TakesPanelsAndTilesThatAreNotFull) {
  for (const RecurrentCell cell : all_cells) {
    Network network{cell, Direction::both, 3, {1, 2, 1, 3, 1, 2, 1, 1, 2}};
    expect_network(network);
  }
}

TEST(Recurrent, NeedsNeitherBiasNorState) {
  for (const RecurrentCell cell : all_cells) expect_network({cell, Direction::both, 4, {2, 3}, false, false});
}

TEST(Recurrent, OneStepOfEachSequenceIsTheSame) {
  for (const RecurrentCell cell : all_cells)
    for (const Direction direction : all_directions) {
      expect_network({cell, direction, 5, {1, 1, 1}});
      expect_network({cell, direction, 5, {1}, true, false});
    }
}

TEST(Recurrent, RoundsTheFactorsOfItsProductsInBfloat16) {
  on_every_instruction_set([] {
    for (const RecurrentCell cell : all_cells) {
      if (cell == RecurrentCell::relu) continue;  // what is rounded may turn its corner
      Network network{cell, Direction::both, 3, {3, 1, 2}};
      network.precision = Precision::bfloat16;
      expect_network(network);
    }
  });
}

TEST(Recurrent, SequencesWithoutTokensKeepTheirStates) {
  for (const RecurrentCell cell : all_cells) expect_network({cell, Direction::both, 4, {0, 2, 0, 1}});
  expect_network({RecurrentCell::lstm, Direction::forward, 4, {0, 0}});
}

TEST(Recurrent, NoSequencesGiveNoRowsAndZeroGradients) {
  for (const RecurrentCell cell : all_cells) expect_network({cell, Direction::both, 4, {}, true, false});
}

/// Two calls, the second from where the first ended, are one: values and gradients of all inputs.
TEST(Recurrent, GoesOnWhereACallBeforeEnded) {
  const auto whole = sequences_of_lengths({5});
  for (const RecurrentCell cell : all_cells) {
    SCOPED_TRACE(static_cast<int>(cell));
    const std::int64_t width = gates_of(cell) * 6;
    Trial trial{{{3, width}, {2, width}, {width, 6}, {width}}, {sequences_of_lengths({3}), sequences_of_lengths({2})}};
    trial.steps = 8.0;
    expect_operator(
        trial,
        [&](const Vars& x) {
          const RecurrentResult first = recurrent(fresh_gates(x[0]), x[2], x[3], Var(), cell);
          return recurrent(fresh_gates(x[1]), x[2], x[3], first.state, cell).output;
        },
        [&](const auto& x) {
          auto gates = x[0];
          gates.values.insert(gates.values.end(), x[1].values.begin(), x[1].values.end());
          gates.rows = 5;
          auto output = reference::recurrent(gates, x[2], x[3], {}, *whole, cell, Direction::forward).output;
          output.values.erase(output.values.begin(), output.values.begin() + 3 * 6);
          output.rows = 2;
          return output;
        });
  }
}

struct Trained {
  Tensor output, state, gates, weight, bias, initial;
};

Trained train(ThreadPool& pool, RecurrentCell cell, Precision precision, const std::vector<std::int64_t>& lengths,
              std::int64_t hidden) {
  Arena arena(std::int64_t{1} << 28);
  Pass pass(arena, pool, training_options(nullptr, precision));
  Network network{cell, Direction::both, hidden, lengths};
  const Trial trial = network.trial();
  Vars inputs;
  for (std::size_t i = 0; i < trial.inputs.size(); ++i)
    inputs.push_back(pass.input(draw(trial.inputs[i], RandomKey{3}.fold(i), i == 1 ? 0.2f : 1.0f),
                                i == 0 ? trial.sequences[0] : nullptr, true));
  const RecurrentResult result = network.run(inputs);
  pass.backward(result.output, draw(result.output.shape(), RandomKey{9}));
  return {result.output.keep(),
          result.state.keep(),
          pass.gradient_of(inputs[0]).clone(),
          pass.gradient_of(inputs[1]).clone(),
          pass.gradient_of(inputs[2]).clone(),
          pass.gradient_of(inputs[3]).clone()};
}

void expect_same_bits(const Tensor& a, const Tensor& b) {
  ASSERT_EQ(a.bytes(), b.bytes());
  EXPECT_EQ(std::memcmp(a.data(), b.data(), static_cast<std::size_t>(a.bytes())), 0);
}

TEST(Recurrent, AnyNumberOfThreadsMakesTheSameBits) {
  std::vector<std::int64_t> lengths;
  for (std::int64_t i = 0; i < 23; ++i) lengths.push_back(1 + i * 7 % 19);
  for (const RecurrentCell cell : all_cells)
    for (const Precision precision : {Precision::float32, Precision::bfloat16}) {
      ThreadPool one(1), two(2), five(5);
      const Trained expected = train(one, cell, precision, lengths, 40);
      for (ThreadPool* pool : {&two, &five}) {
        const Trained actual = train(*pool, cell, precision, lengths, 40);
        expect_same_bits(actual.output, expected.output);
        expect_same_bits(actual.state, expected.state);
        expect_same_bits(actual.gates, expected.gates);
        expect_same_bits(actual.weight, expected.weight);
        expect_same_bits(actual.bias, expected.bias);
        expect_same_bits(actual.initial, expected.initial);
      }
    }
}

TEST(Recurrent, SequencesDoNotSeeEachOther) {
  Arena arena(std::int64_t{1} << 26);
  ThreadPool pool(2);
  for (const RecurrentCell cell : all_cells) {
    Pass pass(arena, pool);
    const std::int64_t width = 2 * gates_of(cell) * 20;
    const Tensor gates = draw({9, width}, RandomKey{1}), weight = draw({width, 20}, RandomKey{2}, 0.3f);
    const auto run = [&](const Tensor& rows, const std::vector<std::int64_t>& lengths) {
      return recurrent(pass.input(rows.clone(), sequences_of_lengths(lengths)), pass.input(weight), Var(), Var(), cell,
                       Direction::both)
          .output.keep();
    };
    const Tensor together = run(gates, {2, 4, 3}), alone = run(gates.slice(2, 6), {4});
    expect_same_bits(together.slice(2, 6).clone(), alone);
  }
}

TEST(Recurrent, NamesTheShapesThatDoNotFit) {
  Arena arena(1 << 20);
  ThreadPool pool(1);
  Pass pass(arena, pool);
  const auto sequences = sequences_of_lengths({2});
  const auto of = [&](Shape shape) { return pass.input(Tensor(shape), sequences); };
  expect_error("recurrent: weight is [12, 4]; 1 directions of 4 gates need [16, 4]", [&] {
    recurrent(of({2, 16}), of({12, 4}), Var(), Var(), RecurrentCell::lstm);
  });
  expect_error("recurrent: gates are [2, 12], weight is [16, 4]; gates must be [tokens, 16]", [&] {
    recurrent(of({2, 12}), of({16, 4}), Var(), Var(), RecurrentCell::lstm);
  });
  expect_error("recurrent: bias is [4]", [&] {
    recurrent(of({2, 16}), of({16, 4}), of({4}), Var(), RecurrentCell::lstm);
  });
  expect_error("recurrent: state is [1, 4]; 1 sequences need [1, 8]", [&] {
    recurrent(of({2, 16}), of({16, 4}), Var(), of({1, 4}), RecurrentCell::lstm);
  });
}

}  // namespace

}  // namespace heed::test
