#pragma once
// The product that everything in attention is made of: C[rows][columns] (+)= Σ_k A[row, k] · B[k][columns], with C's
// tile in registers, B loaded by vectors and A unit by unit (kernels/cpu/matmul_units.h), so A may lie in rows or in
// columns.
#include "attention/cpu/task.h"
#include "kernels/cpu/matmul_units.h"
#include "simd/vector.h"

namespace heed::HEED_ISA {

using attention::group_rows;
using attention::panel_width;

struct Factor {
  const float* data;        ///< units
  std::int64_t row_stride;  ///< between A's rows
  std::int64_t step;        ///< between the units of the sum
};

/// A matrix of whole vectors, but for the last `tail` columns of C (0: whole).
struct Panel {
  const float* data;
  std::int64_t stride;
};

#if defined(HEED_AVX512)
inline constexpr int tile_vectors = 4;
#else
inline constexpr int tile_vectors = 2;
#endif

inline constexpr int tile_columns = tile_vectors * lanes;

/// The most frequent product, in whole tiles, from zero: nothing but its loops. A call for each tile would cost it
/// 6 % of a sum over 64, and twice that in pairs of bfloat16.
template <class Units>
static __attribute__((noinline)) void whole_tiles(int count, std::int64_t k, Factor a, const float* panels, int inside,
                                                  float* c, std::int64_t stride) {
  constexpr int R = group_rows, N = tile_vectors;
  for (; count > 0; --count, c += tile_columns) {
    F sum[R][N];
    for (int r = 0; r < R; ++r)
      for (int n = 0; n < N; ++n) sum[r][n] = zero();
    const float* row_a[R];
    for (int r = 0; r < R; ++r) row_a[r] = a.data + r * a.row_stride;
    const float* b = panels + inside;
    for (std::int64_t i = 0; i < k; ++i, b += panel_width) {
      F row[N];
      HEED_UNROLL
      for (int n = 0; n < N; ++n) row[n] = load(b + n * lanes);
      HEED_UNROLL
      for (int r = 0; r < R; ++r) {
        const F factor = set1(row_a[r][i]);
        HEED_UNROLL
        for (int n = 0; n < N; ++n) sum[r][n] = Units::multiply_add(factor, row[n], sum[r][n]);
      }
    }
    float* to = c;
    HEED_UNROLL
    for (int r = 0; r < R; ++r, to += stride) {
      HEED_UNROLL
      for (int n = 0; n < N; ++n) store(to + n * lanes, sum[r][n]);
    }
    inside += tile_columns;
    if (inside == panel_width) {
      inside = 0;
      panels += k * panel_width;
    }
  }
}

/// `columns` of C; B and, where they are not a whole number of vectors, only B's rows must be padded to whole vectors.
template <class Units>
void multiply(int rows, int columns, std::int64_t k, Factor a, Panel b, float* c, std::int64_t stride, bool add);

/// `rows` (at most a group) times columns [begin, end) of packed panels, from zero. A's units lie along the sum.
template <class Units>
static void multiply_panels(int rows, int begin, int end, std::int64_t k, Factor a, const float* panels, float* c,
                            std::int64_t stride) {
  for (int column = begin; column < end;) {
    const int inside = column % panel_width;
    const float* const panel = panels + column / panel_width * panel_width * k;
    int columns = panel_width - inside < end - column ? panel_width - inside : end - column;
    if (rows == group_rows && inside % tile_columns == 0 && end - column >= tile_columns) {
      columns = (end - column) / tile_columns * tile_columns;
      whole_tiles<Units>(columns / tile_columns, k, a, panel, inside, c + column, stride);
    } else {
      multiply<Units>(rows, columns, k, a, {panel + inside, panel_width}, c + column, stride, false);
    }
    column += columns;
  }
}

}  // namespace heed::HEED_ISA
