#pragma once
// What forward and backward of a recurrent step share: the register tile of a few sequences × 4 vectors over packed
// weights (see matmul_units.h for units), and operands stored as the tile reads them.
#include "kernels/cpu/elements.h"
#include "kernels/cpu/matmul_units.h"
#include "kernels/cpu/recurrent.h"

namespace heed::HEED_ISA {

inline constexpr int panel_vectors = 4;
inline constexpr int panel_lanes = panel_vectors * lanes;
inline constexpr int tile_sequences = lanes == 16 ? 6 : 3;

/// What a step multiplies at once: `gates` of U's gates from `first` on. A panel of the packed weights has, for
/// `blocks` vectors of hidden units, each of these gates: a tile then holds all that these units need.
struct GateGroup {
  int first, gates, blocks;
};
struct GateGroups {
  GateGroup group[2];
  int count;
};
constexpr GateGroups groups_of(kernels::RecurrentCell cell) {
  using enum kernels::RecurrentCell;
  if (cell == lstm) return {{{0, 4, 1}, {}}, 1};
  if (cell == gru_reset_after) return {{{0, 3, 1}, {}}, 1};
  if (cell == gru) return {{{0, 2, 2}, {2, 1, 4}}, 2};
  return {{{0, 1, 4}, {}}, 1};
}

constexpr std::int64_t ceiling(std::int64_t x, std::int64_t unit) { return (x + unit - 1) / unit; }

/// `rows` sums of `vectors` vectors: to[r] = a[r]·b, or += when `add`.
template <class Units, int rows, int vectors, bool add>
HEED_INLINE void multiply_rows(std::int64_t units, const char* a, std::int64_t a_row, const float* b, float* to,
                               std::int64_t to_row) {
  F sum[rows][vectors];
  HEED_UNROLL for (int r = 0; r < rows; ++r) HEED_UNROLL for (int v = 0; v < vectors; ++v) sum[r][v] =
      add ? load(to + r * to_row + v * lanes) : zero();
  const char* upper = a;
  const char* lower = a + 3 * a_row;
  for (std::int64_t u = 0; u < units; ++u) {
    F right[vectors];
    HEED_UNROLL for (int v = 0; v < vectors; ++v) right[v] = load(b + v * lanes);
    HEED_UNROLL for (int r = 0; r < rows; ++r) {
      float value;
      __builtin_memcpy(&value, r < 3 ? upper + r * a_row : lower + (r - 3) * a_row, sizeof value);
      const F left = set1(value);
      HEED_UNROLL for (int v = 0; v < vectors; ++v) sum[r][v] = Units::multiply_add(left, right[v], sum[r][v]);
    }
    upper += 4;
    lower += 4;
    b += vectors * lanes;
  }
  HEED_UNROLL for (int r = 0; r < rows; ++r) HEED_UNROLL for (int v = 0; v < vectors; ++v)
      store(to + r * to_row + v * lanes, sum[r][v]);
}

/// The same for 1 to `tile_sequences` rows; a row of `a` has a_stride floats.
template <class Units, int vectors, bool add>
HEED_INLINE void multiply(std::int64_t rows, std::int64_t units, const float* a, std::int64_t a_stride, const float* b,
                          float* to, std::int64_t to_row) {
  const char* const from = reinterpret_cast<const char*>(a);
  const std::int64_t a_row = 4 * a_stride;
  if (rows == 1) return multiply_rows<Units, 1, vectors, add>(units, from, a_row, b, to, to_row);
  if (rows == 2) return multiply_rows<Units, 2, vectors, add>(units, from, a_row, b, to, to_row);
  if constexpr (tile_sequences > 3) {
    if (rows == 6) return multiply_rows<Units, 6, vectors, add>(units, from, a_row, b, to, to_row);
    if (rows == 5) return multiply_rows<Units, 5, vectors, add>(units, from, a_row, b, to, to_row);
    if (rows == 4) return multiply_rows<Units, 4, vectors, add>(units, from, a_row, b, to, to_row);
  }
  multiply_rows<Units, 3, vectors, add>(units, from, a_row, b, to, to_row);
}

/// Element `unit` of an operand's row, and what follows, in the type that is multiplied.
template <class Units, class N>
HEED_INLINE void store_operand(float* row, std::int64_t unit, F value, N n) {
  if constexpr (Units::elements == 2)
    store(reinterpret_cast<bfloat16*>(row) + unit, value, n);
  else if constexpr (Units::rounded)
    store(row + unit, from_bfloat16(to_bfloat16(value)), n);
  else
    store(row + unit, value, n);
}

/// Calls f.operator()<Units>() with the units of the direction's products.
template <class Function>
HEED_INLINE void with_units(const kernels::Recurrence& direction, Function f) {
  if (direction.product == kernels::Product::bfloat16)
    f.template operator()<BFloat16Units>();
  else
    f.template operator()<Float32Units>();
}

/// Calls f.operator()<cell>().
template <class Function>
HEED_INLINE void with_cell(kernels::RecurrentCell cell, Function f) {
  using enum kernels::RecurrentCell;
  switch (cell) {
    case lstm:
      return f.template operator()<lstm>();
    case gru:
      return f.template operator()<gru>();
    case gru_reset_after:
      return f.template operator()<gru_reset_after>();
    case tanh:
      return f.template operator()<tanh>();
    case relu:
      return f.template operator()<relu>();
  }
}

/// The packed row of sequence `s` at a step.
HEED_INLINE std::int64_t row_at(const kernels::Recurrence& direction, const kernels::RecurrentPiece& piece,
                                std::int64_t s, std::int64_t step) {
  return piece.first[s] + (direction.reversed ? -step : step);
}

}  // namespace heed::HEED_ISA
