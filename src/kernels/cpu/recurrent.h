#pragma once
#include "kernels/recurrent.h"

namespace heed::kernels {

/// The sequences that one thread goes through, longest first, and its scratch, whose rows are theirs in that order.
/// What is multiplied (operands) lies as the product takes it: float32, or bfloat16.
struct RecurrentPiece {
  std::int64_t rows = 0;
  const std::int64_t* first = nullptr;   ///< row of each one's first step in the packed tokens
  const std::int64_t* length = nullptr;  ///< steps of each
  const std::int64_t* number = nullptr;  ///< row of each one's state
  const float* packed = nullptr;         ///< the weights; null: the products of the only step stand in `products`
  const float* products = nullptr;       ///< [rows, gates·hidden]
  std::int64_t stride = 0;               ///< floats of a scratch row for `hidden`
  std::int64_t gate_stride = 0;          ///< floats of a scratch row for the gates
  float* operand[2] = {};                ///< forward: h before and after a step. Backward: [0], the gates' gradients
  float* reset = nullptr;                ///< gru: r∘h. Backward: [rows, stride], the gradient of it
  float* carry = nullptr;                ///< forward: c, or a GRU's h. Backward: the gradient of c
  float* dstate = nullptr;               ///< backward: the gradient of h
};

struct RecurrentKernels {
  /// Packs the weights for the forward, or for the backward.
  void (*pack)(const Recurrence& direction, bool backward, float* to);
  /// Puts the initial states into the piece's scratch.
  void (*start)(const Recurrence& direction, const RecurrentPiece& piece);
  /// Step `step` of the first `active` sequences. Operands change places from step to step.
  void (*forward)(const Recurrence& direction, const RecurrentPiece& piece, std::int64_t step, std::int64_t active);
  void (*backward)(const Recurrence& direction, const RecurrenceGradients& to, const RecurrentPiece& piece,
                   std::int64_t step, std::int64_t active);
};

/// Scratch rows are multiples of so many floats.
inline constexpr std::int64_t recurrent_padding = 64;

}  // namespace heed::kernels
