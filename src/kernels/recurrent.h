#pragma once
#include <heed/tensor.h>
#include <heed/thread_pool.h>

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/matmul.h"

namespace heed::kernels {

/// What a recurrent network computes in a step from gates x (the input's products, with their biases), the state before
/// it and U, the recurrent weights. σ is the logistic function, ∘ the elementwise product.
///   lstm:             i, f, g, o = σ, σ, tanh, σ of (x + U·h);  c ← f∘c + i∘g;  h ← o∘tanh(c)
///   gru:              r, z = σ(x + U·h);  n = tanh(x + U·(r∘h));  h ← (1 − z)∘n + z∘h
///   gru_reset_after:  the same with n = tanh(x + r∘(U·h))
///   tanh, relu:       h ← f(x + U·h)
enum class RecurrentCell : std::uint8_t { lstm, gru, gru_reset_after, tanh, relu };

constexpr std::int64_t gates_of(RecurrentCell cell) {
  return cell == RecurrentCell::lstm ? 4 : cell == RecurrentCell::gru || cell == RecurrentCell::gru_reset_after ? 3 : 1;
}
/// Width of a sequence's state: h, and an LSTM's c behind it.
constexpr std::int64_t state_width(RecurrentCell cell, std::int64_t hidden) {
  return cell == RecurrentCell::lstm ? 2 * hidden : hidden;
}
/// An LSTM keeps its cells, a GRU that resets after the product what it resets.
constexpr bool keeps(RecurrentCell cell) {
  return cell == RecurrentCell::lstm || cell == RecurrentCell::gru_reset_after;
}

/// One direction of a network over packed sequences. All float32, any row stride.
struct Recurrence {
  RecurrentCell cell = RecurrentCell::lstm;
  std::int64_t hidden = 0;
  bool reversed = false;  ///< from each sequence's last token to its first
  Product product = Product::float32;
  View weight;                  ///< U: [gates·hidden, hidden], in the order of the gates above; any type
  const float* bias = nullptr;  ///< of U's products: [gates·hidden], or null
  View gates;                   ///< [tokens, gates·hidden]: x, which becomes the gates
  View output;                  ///< h: [tokens, hidden]
  View kept;                    ///< [tokens, hidden], where the cell `keeps`: written
  View initial;                 ///< [sequences, state width], or no data: zeros
};
/// Gradients of a direction. The forward's gates are lost: their first block (of gru: its second) then holds the state
/// h before each token, and gru's first block r∘h: what U's gradient is made of. gru_reset_after's `kept` holds the
/// gradient of U's product for n, which is not that of x.
struct RecurrenceGradients {
  View doutput;   ///< [tokens, hidden]
  View dgates;    ///< [tokens, gates·hidden]: written, the gradient of x
  View dfinal;    ///< [sequences, state width], or no data
  View dinitial;  ///< the same, written
};

/// A sequence as rows [first, first + length) of the packed tokens; its state has the row `number`.
struct RecurrentRun {
  std::int64_t first = 0, length = 0, number = 0;
};

/// Floats of scratch that either call needs.
std::int64_t recurrent_scratch(const Recurrence& direction, std::int64_t sequences, std::int64_t directions);

/// One or two directions, alike but for where they go, side by side. A step multiplies the states of the sequences that
/// are still running; those that have ended cost nothing. Sequences are shared out among threads, so nobody waits
/// between steps, and no bit depends on it: all that is computed of a sequence is computed in an order of its own.
void recur(std::span<const Recurrence> directions, std::span<const RecurrentRun> runs, float* scratch,
           ThreadPool& pool);
void recur_backward(std::span<const Recurrence> directions, std::span<const RecurrenceGradients> gradients,
                    std::span<const RecurrentRun> runs, float* scratch, ThreadPool& pool);

}  // namespace heed::kernels
