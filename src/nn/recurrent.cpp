#include <heed/nn.h>

#include <algorithm>
#include <cmath>

namespace heed {

namespace {

std::int64_t sides_of(const RecurrentShape& shape) { return shape.direction == Direction::both ? 2 : 1; }
std::int64_t state_width_of(const RecurrentShape& shape) {
  return sides_of(shape) * state_width(shape.cell, shape.hidden);
}

/// The slot's entry that stands at the state's committed length.
int committed(const State& state, const State::Slot& slot, int number) {
  for (int i = 0; i < 2; ++i)
    if (slot.recurrent[i].length == state.length) return i;
  throw Error(
      "slot {} of a state holds a recurrent layer's state after {} and {} tokens, not after {}: it cannot be rolled "
      "back further",
      number, slot.recurrent[0].length, slot.recurrent[1].length, state.length);
}

Var remembered(Pass& pass, const RecurrentShape& shape) {
  const std::int64_t width = state_width_of(shape);
  Tensor start = pass.tensor({static_cast<std::int64_t>(pass.states().size()), width});
  float* to = start.floats();
  for (const State* state : pass.states()) {
    const State::Slot& slot = state->slots.at(static_cast<std::size_t>(shape.slot));
    if (state->length == 0)
      std::fill_n(to, width, 0.0f);
    else
      std::copy_n(slot.recurrent[committed(*state, slot, shape.slot)].value.floats(), width, to);
    to += width;
  }
  return pass.input(start);
}

void remember(const Var& final_state, const Sequences& sequences, int number) {
  const std::int64_t width = final_state.width();
  const float* from = final_state.value().floats();
  const std::vector<State*>& states = final_state.pass().states();
  for (std::size_t i = 0; i < states.size(); ++i, from += width) {
    State::Slot& slot = states[i]->slots.at(static_cast<std::size_t>(number));
    if (states[i]->length == 0) slot.recurrent[1].length = -1;
    auto& entry = slot.recurrent[states[i]->length == 0 ? 0 : 1 - committed(*states[i], slot, number)];
    // Memory that no copy of the state shares is used again.
    if (!entry.value || !entry.value.unique()) entry.value = Tensor({width});
    std::copy_n(from, width, entry.value.floats());
    entry.length = states[i]->length + sequences.length(static_cast<std::int64_t>(i));
  }
}

}  // namespace

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
  const Var start = state ? state : remembers ? remembered(pass, shape) : Var();
  const RecurrentResult result = run(input(x), start);
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
