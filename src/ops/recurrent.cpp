#include "kernels/recurrent.h"

#include <algorithm>
#include <array>

#include "kernels/rows_pieces.h"
#include "ops/checks.h"

namespace heed {

namespace {

using kernels::columns_of;
using kernels::rows_of;

// The kernels' enumeration has the same order; a public header may not name it.
kernels::RecurrentCell kernel_of(RecurrentCell cell) { return static_cast<kernels::RecurrentCell>(cell); }
static_assert(static_cast<int>(kernels::RecurrentCell::lstm) == static_cast<int>(RecurrentCell::lstm));
static_assert(static_cast<int>(kernels::RecurrentCell::relu) == static_cast<int>(RecurrentCell::relu));

/// A call as its backward needs it again.
struct Call {
  RecurrentCell cell;
  std::int64_t hidden, sides;
  std::vector<kernels::RecurrentRun> runs;
  std::array<kernels::Recurrence, 2> side;  ///< the first `sides`
  Tensor output, kept;                      ///< what their views are of

  std::int64_t gates_width() const { return gates_of(cell) * hidden; }
  std::int64_t state() const { return state_width(cell, hidden); }
  std::span<const kernels::Recurrence> directions() const { return {side.data(), static_cast<std::size_t>(sides)}; }
  Tensor scratch(Pass& pass) const {
    return pass.tensor({kernels::recurrent_scratch(side[0], static_cast<std::int64_t>(runs.size()), sides)});
  }
};

void check(const Var& gates, const Var& weight, const Var& bias, const Var& state, const Call& call) {
  const std::int64_t width = call.sides * call.gates_width(), sequences = gates.sequences().count();
  if (weight.shape().rank() != 2 || weight.shape()[0] != width)
    throw Error("recurrent: weight is {}; {} directions of {} gates need [{}, {}]", weight.shape(), call.sides,
                gates_of(call.cell), width, call.hidden);
  if (gates.width() != width)
    throw Error("recurrent: gates are {}, weight is {}; gates must be [tokens, {}]", gates.shape(), weight.shape(),
                width);
  if (gates.dtype() != DType::float32)
    throw Error("recurrent: gates are {}; they must be float32", name_of(gates.dtype()));
  check_vector("recurrent", "bias", bias, width, gates);
  if (state && state.shape() != Shape{sequences, call.sides * call.state()})
    throw Error("recurrent: state is {}; {} sequences need [{}, {}]", state.shape(), sequences, sequences,
                call.sides * call.state());
}

/// Each direction's final state: what stands at its last token, or where it started if it has none.
Tensor final_state(Pass& pass, const Call& call) {
  const auto sequences = static_cast<std::int64_t>(call.runs.size());
  Tensor state = pass.tensor({sequences, call.sides * call.state()});
  for (const kernels::RecurrentRun& run : call.runs)
    for (std::int64_t s = 0; s < call.sides; ++s) {
      const kernels::Recurrence& side = call.side[static_cast<std::size_t>(s)];
      float* to = state.floats() + run.number * state.width() + s * call.state();
      const auto row = [](const View& view, std::int64_t i) { return view.floats() + i * view.row_stride; };
      if (run.length > 0) {
        const std::int64_t last = side.reversed ? run.first : run.first + run.length - 1;
        std::copy_n(row(side.output, last), call.hidden, to);
        if (call.cell == RecurrentCell::lstm) std::copy_n(row(side.kept, last), call.hidden, to + call.hidden);
      } else if (side.initial.data) {
        std::copy_n(row(side.initial, run.number), call.state(), to);
      } else {
        std::fill_n(to, call.state(), 0.0f);
      }
    }
  return state;
}

/// The gradients of U and of its products' bias: one product over all tokens (two for a GRU, whose n is reset).
void add_weight_gradients(Pass& pass, const Call& call, const View& dgates, const GradientTarget& dweight,
                          const GradientTarget& dbias) {
  const std::int64_t hidden = call.hidden, width = call.gates_width();
  for (std::int64_t s = 0; s < call.sides; ++s) {
    const kernels::Recurrence& side = call.side[static_cast<std::size_t>(s)];
    // Gates [first, first + count) times what the backward left of the state before each token.
    const auto add = [&](const View& gradient, std::int64_t first, const View& before) {
      if (dweight)
        kernels::matmul({.m = gradient.width,
                         .n = hidden,
                         .k = gradient.rows,
                         .a = gradient,
                         .a_transposed = true,
                         .b = before,
                         .c = rows_of(dweight.view, s * width + first, gradient.width),
                         .accumulate = dweight.accumulate,
                         .product = product_of(pass)},
                        pass.pool());
      if (dbias) kernels::sum_rows(gradient, dbias.floats() + s * width + first, dbias.accumulate, pass.pool());
    };
    const View of_x = columns_of(dgates, s * width, width), before = columns_of(side.gates, 0, hidden);
    if (call.cell == RecurrentCell::gru) {
      add(columns_of(of_x, 0, 2 * hidden), 0, columns_of(side.gates, hidden, hidden));
      add(columns_of(of_x, 2 * hidden, hidden), 2 * hidden, before);
    } else if (call.cell == RecurrentCell::gru_reset_after) {
      add(columns_of(of_x, 0, 2 * hidden), 0, before);
      add(side.kept, 2 * hidden, before);
    } else {
      add(of_x, 0, before);
    }
  }
}

}  // namespace

std::int64_t gates_of(RecurrentCell cell) { return kernels::gates_of(kernel_of(cell)); }
std::int64_t state_width(RecurrentCell cell, std::int64_t hidden) {
  return kernels::state_width(kernel_of(cell), hidden);
}

RecurrentResult recurrent(const Var& gates, const Var& weight, const Var& bias, const Var& state, RecurrentCell cell,
                          Direction direction) {
  Call call{};
  call.cell = cell;
  call.hidden = weight.width();
  call.sides = direction == Direction::both ? 2 : 1;
  check(gates, weight, bias, state, call);
  Pass& pass = gates.pass();
  const Sequences& sequences = gates.sequences();
  for (std::int64_t i = 0; i < sequences.count(); ++i)
    call.runs.push_back({sequences.begin(i), sequences.length(i), i});

  const std::int64_t hidden = call.hidden, width = call.gates_width(), tokens = gates.tokens();
  call.output = pass.tensor({tokens, call.sides * hidden});
  const bool keeps = kernels::keeps(kernel_of(cell));
  if (keeps) call.kept = pass.tensor({tokens, call.sides * hidden});
  for (std::int64_t s = 0; s < call.sides; ++s)
    call.side[static_cast<std::size_t>(s)] = {
        .cell = kernel_of(cell),
        .hidden = hidden,
        .reversed = direction == Direction::backward || s == 1,
        .product = product_of(pass),
        .weight = rows_of(weight.value().view(), s * width, width),
        .bias = bias ? bias.value().floats() + s * width : nullptr,
        .gates = columns_of(gates.value().view(), s * width, width),
        .output = columns_of(call.output.view(), s * hidden, hidden),
        .kept = keeps ? columns_of(call.kept.view(), s * hidden, hidden) : View{},
        .initial = state ? columns_of(state.value().view(), s * call.state(), call.state()) : View{}};
  kernels::recur(call.directions(), call.runs, call.scratch(pass).floats(), pass.pool());
  const Tensor last = final_state(pass, call);

  // What the final states' gradient is, told by their backward, which runs first.
  const auto dfinal = std::make_shared<Tensor>();
  RecurrentResult result;
  result.output =
      pass.record(call.output, {&gates, &weight, &bias, &state}, [=, &pass](const Tensor& dy, Gradients& d) {
        const auto dgates = d.to(gates), dweight = d.to(weight), dbias = bias ? d.to(bias) : GradientTarget{};
        const auto dstate = state ? d.to(state) : GradientTarget{};
        const Tensor own =
            dgates && !dgates.accumulate ? Tensor::borrow(dgates.view.data, gates.shape()) : pass.tensor(gates.shape());
        Tensor dinitial;
        if (dstate) dinitial = pass.tensor(state.shape());
        std::array<kernels::RecurrenceGradients, 2> to;
        for (std::int64_t s = 0; s < call.sides; ++s) {
          const auto of_side = [&](const Tensor& x, std::int64_t each) {
            return x ? columns_of(x.view(), s * each, each) : View{};
          };
          to[static_cast<std::size_t>(s)] = {of_side(dy, hidden), of_side(own, width), of_side(*dfinal, call.state()),
                                             of_side(dinitial, call.state())};
        }
        kernels::recur_backward(call.directions(), {to.data(), static_cast<std::size_t>(call.sides)}, call.runs,
                                call.scratch(pass).floats(), pass.pool());
        *dfinal = Tensor();
        if (dgates.accumulate) kernels::add_scaled(own.view(), 1.0f, dgates.view, 1.0f, pass.pool());
        if (dstate)
          kernels::add_scaled(dinitial.view(), 1.0f, dstate.view, dstate.accumulate ? 1.0f : 0.0f, pass.pool());
        if (dweight || dbias) add_weight_gradients(pass, call, own.view(), dweight, dbias);
      });
  result.state = pass.record(last, {&result.output},
                             [dfinal, output = result.output.place()](const Tensor& dy, Gradients& d) {
                               *dfinal = dy;
                               // The network's backward runs when its output has a gradient: zeros, if nobody else
                               // gives one.
                               const auto to = d.to(output);
                               if (to && !to.accumulate) std::fill_n(to.floats(), to.view.rows * to.view.width, 0.0f);
                             })
                     .with(nullptr);
  return result;
}

}  // namespace heed
