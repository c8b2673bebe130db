#pragma once
// The product that everything in attention is made of: C[rows][columns] (+)= Σ_k A[row, k] · B[k][columns], with C's
// tile in registers, B loaded by vectors and A unit by unit (kernels/cpu/matmul_units.h), so A may lie in rows or in
// columns.
#include "kernels/cpu/matmul_units.h"
#include "simd/vector.h"

namespace heed::HEED_ISA {

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

/// The most frequent tile, of whole vectors and begun at zero: nothing but its loop.
template <class Units, int R, int N>
HEED_INLINE void whole_tile(std::int64_t k, Factor a, Panel b, float* c, std::int64_t stride) {
  F sum[R][N];
  for (int r = 0; r < R; ++r)
    for (int n = 0; n < N; ++n) sum[r][n] = zero();
  const float* row_a[R];
  for (int r = 0; r < R; ++r) row_a[r] = a.data + r * a.row_stride;
  for (std::int64_t i = 0; i < k; ++i) {
    F row[N];
    HEED_UNROLL
    for (int n = 0; n < N; ++n) row[n] = load(b.data + n * lanes);
    HEED_UNROLL
    for (int r = 0; r < R; ++r) {
      const F factor = set1(row_a[r][i]);
      HEED_UNROLL
      for (int n = 0; n < N; ++n) sum[r][n] = Units::multiply_add(factor, row[n], sum[r][n]);
    }
    b.data += b.stride;
  }
  HEED_UNROLL
  for (int r = 0; r < R; ++r) {
    HEED_UNROLL
    for (int n = 0; n < N; ++n) store(c + n * lanes, sum[r][n]);
    c += stride;
  }
}

#if defined(HEED_AVX512)
inline constexpr int tile_vectors = 4;
#else
inline constexpr int tile_vectors = 2;
#endif

/// `columns` of C; B and, where they are not a whole number of vectors, only B's rows must be padded to whole vectors.
template <class Units>
void multiply(int rows, int columns, std::int64_t k, Factor a, Panel b, float* c, std::int64_t stride, bool add);

/// `rows` (at most a group) times one panel of packed columns, from zero. A's units lie along the sum.
template <class Units>
static void multiply_panel(int rows, int columns, std::int64_t k, Factor a, Panel b, float* c, std::int64_t stride) {
  if (rows == 6)
    for (; columns >= tile_vectors * lanes; columns -= tile_vectors * lanes) {
      whole_tile<Units, 6, tile_vectors>(k, a, b, c, stride);
      b.data += tile_vectors * lanes;
      c += tile_vectors * lanes;
    }
  if (columns > 0) multiply<Units>(rows, columns, k, a, b, c, stride, false);
}

}  // namespace heed::HEED_ISA
