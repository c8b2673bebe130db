// A recurrent step, backward: the gradients of a step's gates from that of its state, then their product with the
// weights, which is what the state before gets.
#include "kernels/cpu/recurrent_backward.h"

#include "kernels/cpu/recurrent_tile.h"

namespace heed::HEED_ISA {

namespace {

using kernels::Recurrence;
using kernels::RecurrenceGradients;
using kernels::RecurrentCell;
using kernels::RecurrentPiece;

/// A sequence at a step: rows of what is read and written. `before` is h before the step, `cell_before` c; null: zeros.
struct Rows {
  float* gates;
  const float* output;
  float* kept;
  const float *before, *cell_before, *doutput;
  float *dgates, *operand, *dstate, *carry, *reset;
  std::int64_t hidden;
};

template <class N>
HEED_INLINE F load_or_zero(const float* row, std::int64_t u, N n) {
  return row ? load(row + u, n) : zero();
}
template <class N>
HEED_INLINE F gate_of(const Rows& row, int gate, std::int64_t u, N n) {
  return load(row.gates + gate * row.hidden + u, n);
}
/// The gradient of what a gate was made of: for x, and as an operand.
template <class Units, class N>
HEED_INLINE void give(const Rows& row, int gate, std::int64_t u, F value, N n) {
  store(row.dgates + gate * row.hidden + u, value, n);
  store_operand<Units>(row.operand, gate * row.hidden + u, value, n);
}
HEED_INLINE F logistic_slope(F y) { return fma(-y, y, y); }          // y(1 − y)
HEED_INLINE F tangent_slope(F y) { return fma(-y, y, set1(1.0f)); }  // 1 − y²

/// All gates but gru's r, whose gradient waits for a product.
template <class Units, RecurrentCell cell, class N>
HEED_INLINE void gates_backward(const Rows& row, std::int64_t u, N n) {
  const F dh = load(row.dstate + u, n) + load(row.doutput + u, n);
  const F before = load_or_zero(row.before, u, n);
  F rest = zero();  // of the state's gradient, beside the product
  if constexpr (cell == RecurrentCell::lstm) {
    const F i = gate_of(row, 0, u, n), f = gate_of(row, 1, u, n), g = gate_of(row, 2, u, n), o = gate_of(row, 3, u, n);
    const F bent = tanh(load(row.kept + u, n));
    const F dc = fma(dh * o, tangent_slope(bent), load(row.carry + u, n));
    give<Units>(row, 0, u, dc * g * logistic_slope(i), n);
    give<Units>(row, 1, u, dc * load_or_zero(row.cell_before, u, n) * logistic_slope(f), n);
    give<Units>(row, 2, u, dc * i * tangent_slope(g), n);
    give<Units>(row, 3, u, dh * bent * logistic_slope(o), n);
    store(row.carry + u, dc * f, n);
    store(row.gates + u, before, n);
  } else if constexpr (cell == RecurrentCell::gru || cell == RecurrentCell::gru_reset_after) {
    const F r = gate_of(row, 0, u, n), z = gate_of(row, 1, u, n), state = gate_of(row, 2, u, n);
    const F dn = (dh - dh * z) * tangent_slope(state);
    give<Units>(row, 1, u, dh * (before - state) * logistic_slope(z), n);
    give<Units>(row, 2, u, dn, n);
    if constexpr (cell == RecurrentCell::gru_reset_after) {
      give<Units>(row, 0, u, dn * load(row.kept + u, n) * logistic_slope(r), n);
      const F dq = dn * r;
      store_operand<Units>(row.operand, 2 * row.hidden + u, dq, n);
      store(row.kept + u, dq, n);
      store(row.gates + u, before, n);
    } else {
      store(row.gates + row.hidden + u, before, n);
    }
    rest = dh * z;
  } else {
    const F h = load(row.output + u, n);
    give<Units>(row, 0, u, cell == RecurrentCell::tanh ? dh * tangent_slope(h) : select(h > zero(), dh, zero()), n);
    store(row.gates + u, before, n);
  }
  store(row.dstate + u, rest, n);
}

/// gru's r, from the gradient of r∘h.
template <class Units, class N>
HEED_INLINE void reset_backward(const Rows& row, std::int64_t u, N n) {
  const F r = gate_of(row, 0, u, n), before = load_or_zero(row.before, u, n), gradient = load(row.reset + u, n);
  give<Units>(row, 0, u, gradient * before * logistic_slope(r), n);
  store(row.dstate + u, fma(gradient, r, load(row.dstate + u, n)), n);
  store(row.gates + u, r * before, n);
}

/// Gates that are multiplied together in the backward, first to last.
constexpr GateGroups backward_groups(RecurrentCell cell) {
  if (cell == RecurrentCell::gru) return {{{2, 1, 0}, {0, 2, 0}}, 2};
  return {{{0, static_cast<int>(kernels::gates_of(cell)), 0}, {}}, 1};
}

/// to += the gradients of a group's gates times its weights.
template <class Units>
HEED_INLINE const float* multiply_group(const Recurrence& direction, const RecurrentPiece& piece,
                                        const GateGroup& group, const float* operand, const float* packed, float* to,
                                        std::int64_t active) {
  const std::int64_t units = units_of<Units>(group.gates * direction.hidden);
  for (std::int64_t first = 0; first < direction.hidden; first += panel_lanes, packed += units * panel_lanes)
    for (std::int64_t s = 0; s < active; s += tile_sequences) {
      const std::int64_t rows = active - s < tile_sequences ? active - s : tile_sequences;
      multiply<Units, panel_vectors, true>(rows, units, operand + s * piece.gate_stride, piece.gate_stride, packed,
                                           to + s * piece.stride + first, piece.stride);
    }
  return packed;
}

template <class Units, RecurrentCell cell, class Step>
HEED_INLINE void for_rows(const Recurrence& direction, const RecurrenceGradients& to, const RecurrentPiece& piece,
                          std::int64_t step, std::int64_t active, Step each) {
  for (std::int64_t s = 0; s < active; ++s) {
    const std::int64_t row = row_at(direction, piece, s, step), scratch = s * piece.stride;
    const std::int64_t last = row_at(direction, piece, s, step - 1);
    const float* const initial = direction.initial.data ? row_of(direction.initial, piece.number[s]) : nullptr;
    const bool is_lstm = cell == RecurrentCell::lstm;
    const Rows rows = {row_of(direction.gates, row),
                       row_of(direction.output, row),
                       kernels::keeps(cell) ? row_of(direction.kept, row) : nullptr,
                       step > 0 ? row_of(direction.output, last) : initial,
                       !is_lstm   ? nullptr
                       : step > 0 ? row_of(direction.kept, last)
                       : initial  ? initial + direction.hidden
                                  : nullptr,
                       row_of(to.doutput, row),
                       row_of(to.dgates, row),
                       piece.operand[0] + s * piece.gate_stride,
                       piece.dstate + scratch,
                       piece.carry ? piece.carry + scratch : nullptr,
                       piece.reset ? piece.reset + scratch : nullptr,
                       direction.hidden};
    for_vectors(direction.hidden, [&](std::int64_t u, auto n) { each(rows, u, n); });
  }
}

template <class Units, RecurrentCell cell>
HEED_INLINE void step_backward(const Recurrence& direction, const RecurrenceGradients& to, const RecurrentPiece& piece,
                               std::int64_t step, std::int64_t active) {
  constexpr GateGroups groups = backward_groups(cell);
  for_rows<Units, cell>(direction, to, piece, step, active,
                        [](const Rows& row, std::int64_t u, auto n) { gates_backward<Units, cell>(row, u, n); });
  if constexpr (cell == RecurrentCell::gru) {
    std::memset(piece.reset, 0, sizeof(float) * static_cast<std::size_t>(active * piece.stride));
    const float* const of_n = piece.operand[0] + units_of<Units>(2 * direction.hidden);
    const float* const rest =
        multiply_group<Units>(direction, piece, groups.group[0], of_n, piece.packed, piece.reset, active);
    for_rows<Units, cell>(direction, to, piece, step, active,
                          [](const Rows& row, std::int64_t u, auto n) { reset_backward<Units>(row, u, n); });
    multiply_group<Units>(direction, piece, groups.group[1], piece.operand[0], rest, piece.dstate, active);
  } else if (piece.packed) {
    multiply_group<Units>(direction, piece, groups.group[0], piece.operand[0], piece.packed, piece.dstate, active);
  }
}

/// Rows of U as they lie: unit u of column c at to[u·panel_lanes + c], filled up with zeros.
template <class Units, class S>
void pack_columns(const S* from, std::int64_t stride, std::int64_t columns, std::int64_t elements, float* to) {
  for (std::int64_t u = 0; u < units_of<Units>(elements); ++u)
    for (std::int64_t c = 0; c < panel_lanes; c += lanes) {
      const std::int64_t left = columns - c;
      const int count = left < lanes ? static_cast<int>(left) : lanes;
      store(to + u * panel_lanes + c, left <= 0 ? zero()
                                                : load_across<Units>(from + u * Units::elements * stride + c, stride,
                                                                     count, (u + 1) * Units::elements > elements));
    }
}

}  // namespace

void pack_recurrent_backward(const Recurrence& direction, float* to) {
  const GateGroups groups = backward_groups(direction.cell);
  with_units(direction, [&]<class Units>() {
    for (int g = 0; g < groups.count; ++g) {
      const std::int64_t elements = groups.group[g].gates * direction.hidden;
      for (std::int64_t first = 0; first < direction.hidden;
           first += panel_lanes, to += units_of<Units>(elements) * panel_lanes)
        with_type(direction.weight.dtype, address(direction.weight, groups.group[g].first * direction.hidden, first),
                  [&](const auto* from) {
                    pack_columns<Units>(from, direction.weight.row_stride, direction.hidden - first, elements, to);
                  });
    }
  });
}

void recurrent_backward(const Recurrence& direction, const RecurrenceGradients& to, const RecurrentPiece& piece,
                        std::int64_t step, std::int64_t active) {
  with_units(direction, [&]<class Units>() {
    with_cell(direction.cell,
              [&]<RecurrentCell cell>() { step_backward<Units, cell>(direction, to, piece, step, active); });
  });
}

}  // namespace heed::HEED_ISA
