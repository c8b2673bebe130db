// LSTM, GRU and RNN: by heed's operator, whose gates have another order; with peepholes, which it has not, step by
// step.
#include <heed/ops.h>

#include <algorithm>
#include <cmath>

#include "conformance/onnx_operators.h"

namespace heed::onnx {

namespace {

/// What the three operators have in common; X is packed, without what lies past a sequence's length.
struct Recurrence {
  std::int64_t directions, hidden, batches, length;
  bool batch_first;
  SequencesPointer sequences;
  Tensor x;                           ///< [tokens, in]
  Tensor weight, recurrent;           ///< [directions·gates·hidden, in or hidden], gates in heed's order
  Tensor input_bias, recurrent_bias;  ///< [directions·gates·hidden]
  Tensor state;                       ///< [batch, directions·state width]

  /// Row (batch, time) of X and Y as they are given.
  std::int64_t row(std::int64_t batch, std::int64_t time) const {
    return batch_first ? batch * length + time : time * batches + batch;
  }
};

/// [directions, count·gates·hidden, …] with the gates of each block in another order; null: zeros of `width` columns.
Tensor reordered(const Tensor* from, const std::vector<std::int64_t>& order, const Recurrence& r, std::int64_t width,
                 std::int64_t block = 0, std::int64_t blocks = 1) {
  const auto gates = static_cast<std::int64_t>(order.size()), part = r.hidden * width;
  Tensor result({r.directions * gates * r.hidden, width});
  if (!from) return result;
  const Tensor floats = to_float32(*from);
  for (std::int64_t d = 0; d < r.directions; ++d)
    for (std::int64_t gate = 0; gate < gates; ++gate)
      std::copy_n(floats.floats() + ((d * blocks + block) * gates + order[static_cast<std::size_t>(gate)]) * part, part,
                  result.floats() + (d * gates + gate) * part);
  return result;
}

Recurrence read(const Call& call, const std::vector<std::int64_t>& order) {
  const Node& node = call.node;
  for (const char* name : {"activations", "activation_alpha", "activation_beta", "clip"})
    if (node.has(name)) throw Error("{}: the attribute {} is not one of heed's", node.operation, name);
  if (node.integer("input_forget", 0) != 0) throw Error("{}: coupled gates are none of heed's", node.operation);
  const Tensor x = to_float32(call.input(0));
  Recurrence r{};
  r.batch_first = node.integer("layout", 0) == 1;
  r.batches = x.shape()[r.batch_first ? 0 : 1];
  r.length = x.shape()[r.batch_first ? 1 : 0];
  r.directions = call.input(1).shape()[0];
  r.hidden = call.input(2).width();
  auto sequences = std::make_shared<Sequences>();
  for (std::int64_t b = 0; b < r.batches; ++b)
    sequences->offsets.push_back(sequences->offsets.back() +
                                 (call.optional(4) ? call.input(4).as<std::int32_t>()[b] : r.length));
  r.x = Tensor({sequences->tokens(), x.width()});
  for (std::int64_t b = 0; b < r.batches; ++b)
    for (std::int64_t t = 0; t < sequences->length(b); ++t)
      std::copy_n(x.floats() + r.row(b, t) * x.width(), x.width(),
                  r.x.floats() + (sequences->begin(b) + t) * x.width());
  r.sequences = sequences;
  r.weight = reordered(&call.input(1), order, r, x.width());
  r.recurrent = reordered(&call.input(2), order, r, r.hidden);
  const Shape flat{r.weight.shape()[0]};
  r.input_bias = reordered(call.optional(3), order, r, 1, 0, 2).reshaped(flat);
  r.recurrent_bias = reordered(call.optional(3), order, r, 1, 1, 2).reshaped(flat);
  // [h | c] of each direction, from [directions, batch, hidden] (or [batch, directions, hidden]) each.
  const std::int64_t parts = node.operation == "LSTM" ? 2 : 1;
  r.state = Tensor({r.batches, r.directions * parts * r.hidden});
  for (std::int64_t part = 0; part < parts; ++part) {
    const Tensor* given = call.optional(static_cast<std::size_t>(5 + part));
    for (std::int64_t i = 0; given && i < r.batches * r.directions; ++i) {
      const std::int64_t b = r.batch_first ? i / r.directions : i % r.batches,
                         d = r.batch_first ? i % r.directions : i / r.batches;
      std::copy_n(to_float32(*given).floats() + i * r.hidden, r.hidden,
                  r.state.floats() + ((b * r.directions + d) * parts + part) * r.hidden);
    }
  }
  return r;
}

/// Y, Y_h and Y_c from packed outputs and final states.
Outputs results(const Recurrence& r, const Tensor& output, const Tensor& state) {
  const std::int64_t parts = state.width() / (r.directions * r.hidden);
  Tensor y = r.batch_first ? Tensor({r.batches, r.length, r.directions, r.hidden})
                           : Tensor({r.length, r.directions, r.batches, r.hidden});
  for (std::int64_t b = 0; b < r.batches; ++b)
    for (std::int64_t t = 0; t < r.sequences->length(b); ++t)
      for (std::int64_t d = 0; d < r.directions; ++d)
        std::copy_n(output.floats() + ((r.sequences->begin(b) + t) * r.directions + d) * r.hidden, r.hidden,
                    y.floats() + (r.batch_first ? (b * r.length + t) * r.directions + d
                                                : (t * r.directions + d) * r.batches + b) *
                                     r.hidden);
  Outputs outputs{y};
  for (std::int64_t part = 0; part < parts; ++part) {
    Tensor last =
        r.batch_first ? Tensor({r.batches, r.directions, r.hidden}) : Tensor({r.directions, r.batches, r.hidden});
    for (std::int64_t b = 0; b < r.batches; ++b)
      for (std::int64_t d = 0; d < r.directions; ++d)
        std::copy_n(state.floats() + ((b * r.directions + d) * parts + part) * r.hidden, r.hidden,
                    last.floats() + (r.batch_first ? b * r.directions + d : d * r.batches + b) * r.hidden);
    outputs.push_back(last);
  }
  return outputs;
}

Outputs run_by_heed(const Call& call, RecurrentCell cell, const std::vector<std::int64_t>& order) {
  const Recurrence r = read(call, order);
  const std::string way = call.node.text("direction", "forward");
  const Direction direction = way == "bidirectional" ? Direction::both
                              : way == "reverse"     ? Direction::backward
                                                     : Direction::forward;
  Arena arena(std::int64_t{1} << 28);
  Pass pass(arena, call.pool);
  const Var gates = linear(pass.input(r.x, r.sequences), pass.input(r.weight), pass.input(r.input_bias));
  const RecurrentResult result = heed::recurrent(gates, pass.input(r.recurrent), pass.input(r.recurrent_bias),
                                                 pass.input(r.state), cell, direction);
  return results(r, result.output.keep(), result.state.keep());
}

/// Gates that see the cells: i and f the one before, o the one after (Gers & Schmidhuber 2000). Forward alone.
Outputs lstm_with_peepholes(const Call& call) {
  const Recurrence r = read(call, {0, 2, 3, 1});
  if (r.directions != 1 || call.node.text("direction", "forward") != "forward")
    throw Error("LSTM: peepholes are read in the forward direction alone");
  const Tensor peepholes = to_float32(call.input(7));  // of i, o and f
  const std::int64_t hidden = r.hidden;
  Tensor output({r.x.rows(), hidden}), state = r.state.clone();
  const auto sigmoid = [](double x) { return 1.0 / (1.0 + std::exp(-x)); };
  for (std::int64_t b = 0; b < r.batches; ++b)
    for (std::int64_t t = 0; t < r.sequences->length(b); ++t) {
      const std::int64_t row = r.sequences->begin(b) + t;
      const float* const x = r.x.floats() + row * r.x.width();
      float *const h = state.floats() + b * 2 * hidden, *const c = h + hidden;
      std::vector<double> gates(static_cast<std::size_t>(4 * hidden));
      for (std::int64_t j = 0; j < 4 * hidden; ++j) {
        double sum = static_cast<double>(r.input_bias.floats()[j]) + r.recurrent_bias.floats()[j];
        for (std::int64_t k = 0; k < r.x.width(); ++k)
          sum += static_cast<double>(r.weight.floats()[j * r.x.width() + k]) * x[k];
        for (std::int64_t k = 0; k < hidden; ++k)
          sum += static_cast<double>(r.recurrent.floats()[j * hidden + k]) * h[k];
        gates[static_cast<std::size_t>(j)] = sum;
      }
      for (std::int64_t j = 0; j < hidden; ++j) {
        const auto gate = [&](std::int64_t g, std::int64_t peephole) {
          const double seen =
              peephole < 0 ? 0.0 : static_cast<double>(peepholes.floats()[peephole * hidden + j]) * c[j];
          return gates[static_cast<std::size_t>(g * hidden + j)] + seen;
        };
        c[j] = static_cast<float>(sigmoid(gate(1, 2)) * c[j] + sigmoid(gate(0, 0)) * std::tanh(gate(2, -1)));
        h[j] = static_cast<float>(sigmoid(gate(3, 1)) * std::tanh(static_cast<double>(c[j])));
      }
      std::copy_n(h, hidden, output.floats() + row * hidden);
    }
  return results(r, output, state);
}

}  // namespace

Outputs lstm(const Call& call) {
  return call.optional(7) ? lstm_with_peepholes(call) : run_by_heed(call, RecurrentCell::lstm, {0, 2, 3, 1});
}

Outputs gru(const Call& call) {
  const bool after = call.node.integer("linear_before_reset", 0) != 0;
  return run_by_heed(call, after ? RecurrentCell::gru_reset_after : RecurrentCell::gru, {1, 0, 2});
}

Outputs rnn(const Call& call) { return run_by_heed(call, RecurrentCell::tanh, {0}); }

}  // namespace heed::onnx
