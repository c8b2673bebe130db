#include "support/recurrent.h"

#include <gtest/gtest.h>
#include <heed/nn.h>

#include "formats/test_files.h"
#include "support/gradients.h"

namespace heed::test {

namespace {

void draw_weights(auto& module) {
  std::uint64_t index = 0;
  visit_weights(
      module, [&](const std::string&, Weight& weight) { weight.set(draw(weight.shape(), RandomKey{++index}, 0.5f)); });
}

Array<double> values_of(const Weight& weight) { return weight ? array_of<double>(weight.value()) : Array<double>(); }

void expect_values(const Tensor& actual, const Array<double>& expected) {
  expect_array(actual, expected, unit_roundoff(DType::float32), 32.0, "values");
}

Array<double> expected_of(const Recurrent& layer, const Array<double>& x, const Sequences& sequences) {
  const Array<double> gates = reference::linear(x, values_of(layer.input.weight), values_of(layer.input.bias));
  return reference::recurrent(gates, values_of(layer.weight), values_of(layer.bias), {}, sequences, layer.shape.cell,
                              layer.shape.direction)
      .output;
}

struct Machine {
  Arena arena{std::int64_t{1} << 26};
  ThreadPool pool{2};
};

TEST(RecurrentLayers, AreAProductOfTheInputAndARecurrence) {
  Machine machine;
  const SequencesPointer sequences = sequences_of_lengths({4, 2});
  const Tensor x = draw({6, 5}, RandomKey{20});
  for (const RecurrentCell cell : {RecurrentCell::lstm, RecurrentCell::gru, RecurrentCell::gru_reset_after})
    for (const int biases : {1, 2}) {
      Recurrent layer({.cell = cell, .in = 5, .hidden = 7, .direction = Direction::both, .biases = biases});
      EXPECT_EQ(layer.width(), 14);
      EXPECT_EQ(static_cast<bool>(layer.bias), biases == 2);
      draw_weights(layer);
      Pass pass(machine.arena, machine.pool);
      expect_values(layer(pass.input(x, sequences)).output.value(),
                    expected_of(layer, array_of<double>(x), *sequences));
    }
}

TEST(RecurrentLayers, ForgetGatesStartOpen) {
  Recurrent layer({.in = 3, .hidden = 2, .direction = Direction::both, .biases = 2});
  visit_weights(layer, [](const std::string&, Weight& weight) { weight.initialise(RandomKey{1}); });
  const std::vector<double> one_direction{0, 0, 1, 1, 0, 0, 0, 0};
  std::vector<double> both = one_direction;
  both.insert(both.end(), one_direction.begin(), one_direction.end());
  EXPECT_EQ(values_of(layer.input.bias).values, both);
  for (const double value : values_of(layer.bias).values) EXPECT_EQ(value, 0.0);
  for (const double value : values_of(layer.weight).values) EXPECT_LE(std::abs(value), std::sqrt(0.5) * 1.000001);
}

TEST(RecurrentLayers, StackWithResidualSumsWhereWidthsAgree) {
  Machine machine;
  const SequencesPointer sequences = sequences_of_lengths({3, 5});
  const Tensor x = draw({8, 4}, RandomKey{20});
  RecurrentStack stack({.cell = RecurrentCell::lstm, .in = 4, .hidden = 6}, 3, 1, true, 0.0f);
  draw_weights(stack);
  EXPECT_EQ(stack.layers[0].width(), 12);
  EXPECT_EQ(stack.layers[1].shape.direction, Direction::forward);
  EXPECT_EQ(stack.width(), 6);
  const Array<double> first = expected_of(stack.layers[0], array_of<double>(x), *sequences);
  const Array<double> second = expected_of(stack.layers[1], first, *sequences);
  const Array<double> third = reference::add(second, expected_of(stack.layers[2], second, *sequences));
  Pass pass(machine.arena, machine.pool);
  const RecurrentStack::Result result = stack(pass.input(x, sequences));
  expect_values(result.output.value(), third);
  EXPECT_EQ(result.states.size(), 3u);
  EXPECT_EQ(result.states[0].shape(), (Shape{2, 24}));
}

TEST(RecurrentLayers, DropoutLiesBetweenLayersInTraining) {
  Machine machine;
  const SequencesPointer sequences = sequences_of_lengths({3, 5});
  const Tensor x = draw({8, 4}, RandomKey{20});
  RecurrentStack stack({.cell = RecurrentCell::tanh, .in = 4, .hidden = 6}, 2, 0, false, 0.5f);
  draw_weights(stack);
  PassOptions options;
  options.training = true;
  options.key = trial_key;
  Pass pass(machine.arena, machine.pool, options);
  const Array<double> first = expected_of(stack.layers[0], array_of<double>(x), *sequences);
  expect_values(stack(pass.input(x, sequences)).output.value(),
                expected_of(stack.layers[1], reference::dropout(first, 0.5, random_call(0)), *sequences));
}

TEST(RecurrentLayers, DropEntriesOfTheStatesMatrixOnceAPassInTraining) {
  Machine machine;
  const SequencesPointer sequences = sequences_of_lengths({3, 5});
  const Tensor x = draw({8, 4}, RandomKey{20});
  Recurrent layer({.cell = RecurrentCell::lstm, .in = 4, .hidden = 6, .dropout = 0.5f});
  draw_weights(layer);
  const Array<double> gates =
      reference::linear(array_of<double>(x), values_of(layer.input.weight), values_of(layer.input.bias));
  const auto expected = [&](const Array<double>& matrix) {
    return reference::recurrent(gates, matrix, {}, {}, *sequences, RecurrentCell::lstm, Direction::forward).output;
  };
  PassOptions options;
  options.training = true;
  options.key = trial_key;
  Pass training(machine.arena, machine.pool, options), answering(machine.arena, machine.pool);
  expect_values(layer(training.input(x, sequences)).output.value(),
                expected(reference::dropout(values_of(layer.weight), 0.5, random_call(0))));
  expect_values(layer(answering.input(x, sequences)).output.value(), expected(values_of(layer.weight)));
}

/// Feeds rows [begin, begin + count) of one sequence, whose state moves on when `succeeds`.
Tensor feed(Machine& machine, const RecurrentStack& stack, const Tensor& x, std::int64_t begin, std::int64_t count,
            State& state, bool succeeds = true) {
  PassOptions options;
  options.states = {&state};
  Pass pass(machine.arena, machine.pool, options);
  const Tensor output = stack(pass.input(x.slice(begin, begin + count), sequences_of_lengths({count}))).output.keep();
  if (succeeds) state.length += count;
  return output;
}

TEST(RecurrentLayers, GoOnFromTheStatesOfAPass) {
  Machine machine;
  const Tensor x = draw({7, 4}, RandomKey{20});
  for (const RecurrentCell cell : {RecurrentCell::lstm, RecurrentCell::gru, RecurrentCell::relu}) {
    RecurrentStack stack({.cell = cell, .in = 4, .hidden = 6, .slot = 0}, 2, 0, false, 0.0f);
    draw_weights(stack);
    const auto expect_rows = [&](const Tensor& actual, const Tensor& whole, std::int64_t begin) {
      expect_values(actual, array_of<double>(whole.slice(begin, begin + actual.rows())));
    };
    State none(2);
    const Tensor whole = feed(machine, stack, x, 0, 7, none);
    State state(2);
    expect_rows(feed(machine, stack, x, 0, 3, state), whole, 0);
    feed(machine, stack, draw({2, 4}, RandomKey{21}), 0, 2, state, false);  // a pass that failed afterwards
    expect_rows(feed(machine, stack, x, 3, 1, state), whole, 3);
    State fork = state;
    feed(machine, stack, draw({2, 4}, RandomKey{21}), 0, 2, fork);
    expect_rows(feed(machine, stack, x, 4, 2, state), whole, 4);
    state.roll_back(4);
    expect_rows(feed(machine, stack, x, 4, 3, state), whole, 4);
    state.roll_back(3);
    expect_error("it cannot be rolled back further", [&] { feed(machine, stack, x, 3, 1, state); });
    state.roll_back(0);
    expect_rows(feed(machine, stack, x, 0, 7, state), whole, 0);
  }
}

TEST(RecurrentLayers, CarryStatesFromOneTrainingPassToTheNextWithoutTheirGradient) {
  Machine machine;
  Recurrent layer({.in = 4, .hidden = 6, .slot = 0}), alone({.in = 4, .hidden = 6});
  draw_weights(layer);
  draw_weights(alone);
  const Tensor x = draw({5, 4}, RandomKey{20}), dy = draw({2, 6}, RandomKey{21});
  State state(1);
  PassOptions options = training_options();
  options.states = {&state};
  Tensor middle;
  {
    Pass pass(machine.arena, machine.pool, options);
    middle = layer(pass.input(x.slice(0, 3), sequences_of_lengths({3}))).state.keep();
    state.length += 3;
  }
  const auto gradient = [&](Pass& pass, const Recurrent& of, const Var& start) {
    const Var input = pass.input(x.slice(3, 5), sequences_of_lengths({2}), true);
    pass.backward(of(input, start).output, dy);
    return pass.gradient_of(input).clone();
  };
  Pass carried(machine.arena, machine.pool, options), given(machine.arena, machine.pool, training_options());
  expect_values(gradient(carried, layer, Var()), array_of<double>(gradient(given, alone, given.input(middle))));
}

TEST(RecurrentLayers, NameStatesThatAreNotOneASequenceOrALayer) {
  Machine machine;
  RecurrentStack stack({.in = 4, .hidden = 6, .slot = 0}, 2, 0, false, 0.0f);
  draw_weights(stack);
  State state(2);
  PassOptions options;
  options.states = {&state};
  Pass pass(machine.arena, machine.pool, options);
  const Var x = pass.input(draw({4, 4}, RandomKey{1}), sequences_of_lengths({2, 2}));
  expect_error("recurrent layer: 1 states for 2 sequences", [&] { stack(x); });
  const std::vector<Var> states{Var()};
  expect_error("recurrent layers: 1 states for 2 layers", [&] { stack(x, states); });
}

}  // namespace

}  // namespace heed::test
