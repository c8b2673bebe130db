#include <heed/nn.h>

#include <algorithm>
#include <cmath>

#include "nn/recurrent_memory.h"

namespace heed {

namespace {

std::int64_t sides_of(const RecurrentShape& shape) { return shape.direction == Direction::both ? 2 : 1; }
std::int64_t state_width_of(const RecurrentShape& shape) {
  return sides_of(shape) * state_width(shape.cell, shape.hidden);
}

/// The slot's entry that stands at the state's committed length; −1: none, and there are no tokens yet.
int committed(const State& state, const State::Slot& slot, int number) {
  for (int i = 0; i < 2; ++i)
    if (slot.recurrent[i].value && slot.recurrent[i].length == state.length) return i;
  if (state.length == 0) return -1;
  throw Error(
      "slot {} of a state holds a recurrent layer's state after {} and {} tokens, not after {}: it cannot be rolled "
      "back further",
      number, slot.recurrent[0].length, slot.recurrent[1].length, state.length);
}

void keep(State::Slot& slot, int entry, const float* row, std::int64_t width, std::int64_t length) {
  auto& [value, kept_length] = slot.recurrent[entry];
  // Memory that no copy of the state shares is used again.
  if (!value || !value.unique()) value = Tensor({width});
  std::copy_n(row, width, value.floats());
  kept_length = length;
}

}  // namespace

Var remembered(Pass& pass, std::int64_t width, int number) {
  Tensor start = pass.tensor({static_cast<std::int64_t>(pass.states().size()), width});
  float* to = start.floats();
  for (const State* state : pass.states()) {
    const State::Slot& slot = state->slots.at(static_cast<std::size_t>(number));
    if (const int entry = committed(*state, slot, number); entry >= 0)
      std::copy_n(slot.recurrent[entry].value.floats(), width, to);
    else
      std::fill_n(to, width, 0.0f);
    to += width;
  }
  return pass.input(start);
}

void remember(const Var& rows, const Sequences& sequences, int number) {
  const float* row = rows.value().floats();
  const std::vector<State*>& states = rows.pass().states();
  for (std::size_t i = 0; i < states.size(); ++i, row += rows.width()) {
    State::Slot& slot = states[i]->slots.at(static_cast<std::size_t>(number));
    const int entry = committed(*states[i], slot, number);
    if (entry < 0) slot.recurrent[1].length = -1;
    keep(slot, entry < 0 ? 0 : 1 - entry, row, rows.width(),
         states[i]->length + sequences.length(static_cast<std::int64_t>(i)));
  }
}

void remember_start(const Var& rows, int number) {
  const float* row = rows.value().floats();
  for (State* state : rows.pass().states()) {
    State::Slot& slot = state->slots.at(static_cast<std::size_t>(number));
    slot.recurrent[1].length = -1;
    keep(slot, 0, row, rows.width(), 0);
    row += rows.width();
  }
}

Recurrent::Recurrent(const RecurrentShape& layer_shape) : shape(layer_shape) {
  const std::int64_t width = sides_of(shape) * gates_of(shape.cell) * shape.hidden;
  const Initial matrix{Initial::Kind::uniform, 1.0f / std::sqrt(static_cast<float>(shape.hidden))};
  Initial zeros;
  if (shape.cell == RecurrentCell::lstm)
    zeros.period = 4 * shape.hidden, zeros.ones_begin = shape.hidden, zeros.ones_end = 2 * shape.hidden;
  input = Linear(shape.in, width, false, matrix);
  input.bias = Weight({width}, zeros);
  weight = Weight({width, shape.hidden}, shape.orthogonal ? Initial{Initial::Kind::orthogonal, 1.0f} : matrix);
  if (shape.biases == 2) bias = Weight({width});
}

RecurrentResult Recurrent::operator()(const Var& x, const Var& state) const {
  Pass& pass = x.pass();
  const bool remembers = shape.slot >= 0 && !pass.states().empty();
  if (remembers && static_cast<std::int64_t>(pass.states().size()) != x.sequences().count())
    throw Error("recurrent layer: {} states for {} sequences", pass.states().size(), x.sequences().count());
  const Var start = state ? state : remembers ? remembered(pass, state_width_of(shape), shape.slot) : Var();
  const Var matrix = dropout(pass.use(weight), shape.dropout), second = bias ? pass.use(bias) : Var();
  RecurrentResult result = recurrent(input(x), matrix, second, start, shape.cell, shape.direction);
  if (remembers) remember(result.state, x.sequences(), shape.slot);
  return result;
}

RecurrentResult Recurrent::run(const Var& gates, const Var& state) const {
  Pass& pass = gates.pass();
  return recurrent(gates, pass.use(weight), bias ? pass.use(bias) : Var(), state, shape.cell, shape.direction);
}

RecurrentStack::RecurrentStack(const RecurrentShape& first, std::int64_t layer_count, std::int64_t both_ways,
                               bool with_residual, float rate)
    : residual(with_residual), dropout(rate) {
  RecurrentShape shape = first;
  for (std::int64_t i = 0; i < layer_count; ++i) {
    shape.direction = i < both_ways ? Direction::both : first.direction;
    layers.emplace_back(shape);
    shape.in = layers.back().width();
    if (shape.slot >= 0) ++shape.slot;
  }
}

RecurrentStack::Result RecurrentStack::operator()(const Var& x, std::span<const Var> states) const {
  if (!states.empty() && states.size() != layers.size())
    throw Error("recurrent layers: {} states for {} layers", states.size(), layers.size());
  Result result;
  result.output = x;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const Var below = i > 0 ? heed::dropout(result.output, dropout) : x;
    const auto [output, state] = layers[i](below, states.empty() ? Var() : states[i]);
    result.output = residual && output.width() == below.width() ? add(output, below) : output;
    result.states.push_back(state);
  }
  return result;
}

}  // namespace heed
