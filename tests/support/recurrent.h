#pragma once
// Recurrent networks in their most obvious form, as reference.h has the other operators.
#include <heed/ops.h>

#include "support/reference.h"

namespace heed::test::reference {

template <class T>
struct Recurrent {
  Array<T> output;  ///< [tokens, directions·hidden]
  Array<T> state;   ///< [sequences, directions·state width]
};

/// As heed::recurrent; `bias` and `state` may be empty.
template <class T>
Recurrent<T> recurrent(const Array<T>& gates, const Array<T>& weight, const Array<T>& bias, const Array<T>& state,
                       const Sequences& sequences, RecurrentCell cell, Direction direction) {
  const std::int64_t hidden = weight.width, width = gates_of(cell) * hidden, remembered = state_width(cell, hidden);
  const std::int64_t sides = direction == Direction::both ? 2 : 1;
  Recurrent<T> result{Array<T>(gates.rows, sides * hidden), Array<T>(sequences.count(), sides * remembered)};
  const auto sigmoid = [](const T& x) { return 1.0 / (1.0 + exp(-x)); };
  for (std::int64_t side = 0; side < sides; ++side)
    for (std::int64_t s = 0; s < sequences.count(); ++s) {
      std::vector<T> h(static_cast<std::size_t>(remembered));
      for (std::int64_t j = 0; j < remembered && state.width > 0; ++j)
        h[static_cast<std::size_t>(j)] = state(s, side * remembered + j);
      for (std::int64_t t = 0; t < sequences.length(s); ++t) {
        const bool reversed = direction == Direction::backward || side == 1;
        const std::int64_t row = sequences.begin(s) + (reversed ? sequences.length(s) - 1 - t : t);
        const auto x = [&](std::int64_t gate, std::int64_t j) { return gates(row, side * width + gate * hidden + j); };
        const auto product = [&](std::int64_t gate, std::int64_t j, const std::vector<T>& before) {
          const std::int64_t of = side * width + gate * hidden + j;
          T sum = bias.width > 0 ? bias[of] : T{};
          for (std::int64_t k = 0; k < hidden; ++k) sum += weight(of, k) * before[static_cast<std::size_t>(k)];
          return sum;
        };
        std::vector<T> next = h, reset = h;
        for (std::int64_t j = 0; j < hidden && cell == RecurrentCell::gru; ++j)
          reset[static_cast<std::size_t>(j)] *= sigmoid(x(0, j) + product(0, j, h));
        for (std::int64_t j = 0; j < hidden; ++j) {
          const auto at = static_cast<std::size_t>(j);
          if (cell == RecurrentCell::lstm) {
            T& c = next[static_cast<std::size_t>(hidden + j)];
            c = sigmoid(x(1, j) + product(1, j, h)) * c +
                sigmoid(x(0, j) + product(0, j, h)) * tanh(x(2, j) + product(2, j, h));
            next[at] = sigmoid(x(3, j) + product(3, j, h)) * tanh(c);
          } else if (cell == RecurrentCell::tanh) {
            next[at] = tanh(x(0, j) + product(0, j, h));
          } else if (cell == RecurrentCell::relu) {
            const T sum = x(0, j) + product(0, j, h);
            next[at] = real(sum) > 0.0 ? sum : T{};
          } else {
            const T z = sigmoid(x(1, j) + product(1, j, h));
            const T n = cell == RecurrentCell::gru
                            ? tanh(x(2, j) + product(2, j, reset))
                            : tanh(x(2, j) + sigmoid(x(0, j) + product(0, j, h)) * product(2, j, h));
            next[at] = (1.0 - z) * n + z * h[at];
          }
        }
        h = next;
        for (std::int64_t j = 0; j < hidden; ++j)
          result.output(row, side * hidden + j) = h[static_cast<std::size_t>(j)];
      }
      for (std::int64_t j = 0; j < remembered; ++j)
        result.state(s, side * remembered + j) = h[static_cast<std::size_t>(j)];
    }
  return result;
}

}  // namespace heed::test::reference
