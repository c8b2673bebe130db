// A recurrent step, forward: the product of the states with the packed weights, tile by tile, and on what each tile has
// just made the gates.
#include "kernels/cpu/recurrent.h"

#include "kernels/cpu/recurrent_backward.h"
#include "kernels/cpu/recurrent_tile.h"

namespace heed::HEED_ISA {

namespace {

using kernels::Recurrence;
using kernels::RecurrentCell;
using kernels::RecurrentPiece;

HEED_INLINE F sigmoid(F x) { return reciprocal(set1(1.0f) + exp(-x)); }

/// A sequence at a step: rows of what is read and written.
struct Rows {
  float *gates, *output, *kept, *carry, *next, *reset;
};
/// One vector of its hidden units, from `unit` on; sums[g·apart] is the product of gate g.
struct Place {
  std::int64_t hidden, unit;
  const float* sums;
  std::int64_t apart;
  const float* bias;
};

/// The product of a gate with its bias.
template <class N>
HEED_INLINE F product(const Place& at, int gate, int first, N n) {
  const F sum = load(at.sums + (gate - first) * at.apart, n);
  return at.bias ? sum + load(at.bias + gate * at.hidden + at.unit, n) : sum;
}
template <class N>
HEED_INLINE F gate_input(const Rows& row, const Place& at, int gate, N n) {
  return load(row.gates + gate * at.hidden + at.unit, n);
}
template <class N>
HEED_INLINE void keep_gate(const Rows& row, const Place& at, int gate, F value, N n) {
  store(row.gates + gate * at.hidden + at.unit, value, n);
}

template <class Units, RecurrentCell cell, int group, class N>
HEED_INLINE void finish(const Rows& row, const Place& at, N n) {
  const std::int64_t u = at.unit;
  const auto sum = [&](int gate, int first = 0) { return gate_input(row, at, gate, n) + product(at, gate, first, n); };
  F h;
  if constexpr (cell == RecurrentCell::lstm) {
    const F i = sigmoid(sum(0)), f = sigmoid(sum(1)), g = tanh(sum(2)), o = sigmoid(sum(3));
    const F c = fma(f, load(row.carry + u, n), i * g);
    h = o * tanh(c);
    keep_gate(row, at, 0, i, n);
    keep_gate(row, at, 1, f, n);
    keep_gate(row, at, 2, g, n);
    keep_gate(row, at, 3, o, n);
    store(row.carry + u, c, n);
    store(row.kept + u, c, n);
  } else if constexpr (cell == RecurrentCell::gru && group == 0) {
    const F r = sigmoid(sum(0)), z = sigmoid(sum(1));
    keep_gate(row, at, 0, r, n);
    keep_gate(row, at, 1, z, n);
    store_operand<Units>(row.reset, u, r * load(row.carry + u, n), n);
    return;
  } else if constexpr (cell == RecurrentCell::gru || cell == RecurrentCell::gru_reset_after) {
    F new_state, z;
    if constexpr (cell == RecurrentCell::gru) {
      new_state = tanh(sum(2, 2));
      z = gate_input(row, at, 1, n);
    } else {
      const F r = sigmoid(sum(0)), q = product(at, 2, 0, n);
      z = sigmoid(sum(1));
      new_state = tanh(fma(r, q, gate_input(row, at, 2, n)));
      keep_gate(row, at, 0, r, n);
      keep_gate(row, at, 1, z, n);
      store(row.kept + u, q, n);
    }
    keep_gate(row, at, 2, new_state, n);
    h = fma(z, load(row.carry + u, n) - new_state, new_state);
    store(row.carry + u, h, n);
  } else {
    const F x = sum(0);
    h = cell == RecurrentCell::tanh ? tanh(x) : max(zero(), x);
    keep_gate(row, at, 0, h, n);
  }
  store(row.output + u, h, n);
  store_operand<Units>(row.next, u, h, n);
}

template <class Units, RecurrentCell cell, int group>
HEED_INLINE const float* step_group(const Recurrence& direction, const RecurrentPiece& piece, const float* packed,
                                    std::int64_t step, std::int64_t active) {
  constexpr GateGroup gates = groups_of(cell).group[group];
  constexpr int vectors = gates.gates * gates.blocks, panel_units = gates.blocks * lanes;
  const std::int64_t hidden = direction.hidden, units = units_of<Units>(hidden);
  const float* const operand = group == 1 ? piece.reset : piece.operand[step & 1];
  float* const next = piece.operand[(step + 1) & 1];
  for (std::int64_t first = 0; first < hidden; first += panel_units) {
    for (std::int64_t s = 0; s < active; s += tile_sequences) {
      const std::int64_t rows = active - s < tile_sequences ? active - s : tile_sequences;
      alignas(64) float sums[tile_sequences * vectors * lanes];
      if (packed)
        multiply<Units, vectors, false>(rows, units, operand + s * piece.stride, piece.stride, packed, sums,
                                        vectors * lanes);
      for (std::int64_t r = s; r < s + rows; ++r) {
        const std::int64_t row = row_at(direction, piece, r, step), scratch = r * piece.stride;
        const Rows rows_of_r = {row_of(direction.gates, row),
                                row_of(direction.output, row),
                                kernels::keeps(cell) ? row_of(direction.kept, row) : nullptr,
                                piece.carry + scratch,
                                next + scratch,
                                cell == RecurrentCell::gru ? piece.reset + scratch : nullptr};
        for (int b = 0; b < gates.blocks; ++b) {
          const std::int64_t unit = first + b * lanes;
          if (unit >= hidden) break;
          Place at = {hidden, unit, sums + (r - s) * vectors * lanes + b * lanes, gates.blocks * lanes, direction.bias};
          if (!packed) {
            at.sums = piece.products + r * kernels::gates_of(cell) * hidden + unit;
            at.apart = hidden;
          }
          if (unit + lanes <= hidden)
            finish<Units, cell, group>(rows_of_r, at, Whole{});
          else
            finish<Units, cell, group>(rows_of_r, at, static_cast<int>(hidden - unit));
        }
      }
    }
    if (packed) packed += units * vectors * lanes;
  }
  return packed;
}

void forward(const Recurrence& direction, const RecurrentPiece& piece, std::int64_t step, std::int64_t active) {
  with_units(direction, [&]<class Units>() {
    with_cell(direction.cell, [&]<RecurrentCell cell>() {
      const float* const rest = step_group<Units, cell, 0>(direction, piece, piece.packed, step, active);
      if constexpr (groups_of(cell).count == 2) step_group<Units, cell, 1>(direction, piece, rest, step, active);
    });
  });
}

/// Rows [first, first + count) of U, transposed: unit u of row r at to[u·to_stride + r], filled up with zeros to a
/// whole vector.
template <class Units, class S>
void pack_rows(const S* from, std::int64_t stride, int count, std::int64_t elements, float* to,
               std::int64_t to_stride) {
  const std::int64_t units = units_of<Units>(elements);
  for (std::int64_t u = 0; u < units; u += lanes) {
    F block[lanes];
    for (int r = 0; r < lanes; ++r)
      block[r] = r < count ? load_along<Units>(from + r * stride + u * Units::elements, elements - u * Units::elements)
                           : zero();
    transpose(block);
    for (int i = 0; i < lanes && u + i < units; ++i) store(to + (u + i) * to_stride, block[i]);
  }
}

template <class Units>
void pack_forward(const Recurrence& direction, float* to) {
  const std::int64_t hidden = direction.hidden, units = units_of<Units>(hidden);
  const GateGroups groups = groups_of(direction.cell);
  for (int g = 0; g < groups.count; ++g) {
    const auto [first_gate, gates, blocks] = groups.group[g];
    const std::int64_t width = gates * blocks * lanes;
    for (std::int64_t first = 0; first < hidden; first += blocks * lanes, to += units * width)
      for (int v = 0; v < gates * blocks; ++v) {
        const std::int64_t unit = first + v % blocks * lanes;
        const std::int64_t left = unit < hidden ? hidden - unit : 0;
        const std::int64_t row = left > 0 ? (first_gate + v / blocks) * hidden + unit : 0;
        with_type(direction.weight.dtype, address(direction.weight, row, 0), [&](const auto* from) {
          pack_rows<Units>(from, direction.weight.row_stride, static_cast<int>(left < lanes ? left : lanes), hidden,
                           to + v * lanes, width);
        });
      }
  }
}

void pack(const Recurrence& direction, bool backward, float* to) {
  if (backward) return pack_recurrent_backward(direction, to);
  with_units(direction, [&]<class Units>() { pack_forward<Units>(direction, to); });
}

void start(const Recurrence& direction, const RecurrentPiece& piece) {
  const bool is_lstm = direction.cell == RecurrentCell::lstm;
  with_units(direction, [&]<class Units>() {
    for (std::int64_t s = 0; s < piece.rows; ++s) {
      float* const carry = piece.carry + s * piece.stride;
      float* const operand = piece.operand[0] + s * piece.stride;
      const float* const initial = direction.initial.data ? row_of(direction.initial, piece.number[s]) : nullptr;
      // Zeros first: the odd element behind an operand's last is multiplied, too.
      std::memset(carry, 0, sizeof(float) * static_cast<std::size_t>(piece.stride));
      for (float* const each : {piece.operand[0], piece.operand[1], piece.reset})
        if (each) std::memset(each + s * piece.stride, 0, sizeof(float) * static_cast<std::size_t>(piece.stride));
      if (!initial) continue;
      for_vectors(direction.hidden, [&](std::int64_t u, auto n) {
        store_operand<Units>(operand, u, load(initial + u, n), n);
        store(carry + u, load(initial + (is_lstm ? direction.hidden : 0) + u, n), n);
      });
    }
  });
}

}  // namespace

extern const kernels::RecurrentKernels recurrent_kernels;
const kernels::RecurrentKernels recurrent_kernels = {pack, start, forward, recurrent_backward};

}  // namespace heed::HEED_ISA
