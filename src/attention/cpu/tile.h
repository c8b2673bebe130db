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

template <class Units, int R, int N, bool cut>
HEED_INLINE void tile(std::int64_t k, Factor a, Panel b, float* c, std::int64_t stride, bool add, int tail) {
  F sum[R][N];
  for (int r = 0; r < R; ++r)
    for (int n = 0; n < N; ++n) sum[r][n] = zero();
  if (add) {
    const float* from = c;  // one pointer that moves: R of them would not stay in registers
    HEED_UNROLL
    for (int r = 0; r < R; ++r, from += stride) {
      HEED_UNROLL
      for (int n = 0; n < N; ++n) sum[r][n] = cut && n == N - 1 ? load(from + n * lanes, tail) : load(from + n * lanes);
    }
  }
  for (std::int64_t i = 0; i < k; ++i) {
    F row[N];
    HEED_UNROLL
    for (int n = 0; n < N; ++n) row[n] = load(b.data + n * lanes);
    HEED_UNROLL
    for (int r = 0; r < R; ++r) {
      const F factor = set1(a.data[r * a.row_stride]);
      HEED_UNROLL
      for (int n = 0; n < N; ++n) sum[r][n] = Units::multiply_add(factor, row[n], sum[r][n]);
    }
    a.data += a.step;
    b.data += b.stride;
  }
  HEED_UNROLL
  for (int r = 0; r < R; ++r, c += stride) {
    HEED_UNROLL
    for (int n = 0; n < N; ++n) {
      if (cut && n == N - 1)
        store(c + n * lanes, sum[r][n], tail);
      else
        store(c + n * lanes, sum[r][n]);
    }
  }
}

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

template <class Units, int R, int N>
HEED_INLINE int tiles(int row, int rows, std::int64_t k, Factor a, Panel b, float* c, std::int64_t stride, bool add,
                      int tail) {
  for (; row + R <= rows; row += R) {
    const Factor part{a.data + row * a.row_stride, a.row_stride, a.step};
    if (tail)
      tile<Units, R, N, true>(k, part, b, c + row * stride, stride, add, tail);
    else
      tile<Units, R, N, false>(k, part, b, c + row * stride, stride, add, 0);
  }
  return row;
}

template <class Units, int N>
static void strip(int rows, std::int64_t k, Factor a, Panel b, float* c, std::int64_t stride, bool add, int tail) {
  int row = 0;
#if defined(HEED_AVX512)
  if constexpr (N <= 2) row = tiles<Units, 12, N>(row, rows, k, a, b, c, stride, add, tail);
#else
  if constexpr (N == 1) row = tiles<Units, 12, N>(row, rows, k, a, b, c, stride, add, tail);
#endif
  row = tiles<Units, 6, N>(row, rows, k, a, b, c, stride, add, tail);
  row = tiles<Units, 3, N>(row, rows, k, a, b, c, stride, add, tail);
  row = tiles<Units, 2, N>(row, rows, k, a, b, c, stride, add, tail);
  tiles<Units, 1, N>(row, rows, k, a, b, c, stride, add, tail);
}

#if defined(HEED_AVX512)
inline constexpr int tile_vectors = 4;
#else
inline constexpr int tile_vectors = 2;
#endif

/// `rows` (at most a group) times one panel of packed columns, from zero. A's units lie along the sum.
template <class Units>
static void multiply_panel(int rows, int columns, std::int64_t k, Factor a, Panel b, float* c, std::int64_t stride);

/// `columns` of C; B and, where they are not a whole number of vectors, only B's rows must be padded to whole vectors.
template <class Units>
static void multiply(int rows, int columns, std::int64_t k, Factor a, Panel b, float* c, std::int64_t stride,
                     bool add) {
  while (columns > 0) {
    const int vectors = (columns + lanes - 1) / lanes;
    const int taken = vectors < tile_vectors ? vectors : tile_vectors;
    const int tail = taken * lanes <= columns ? 0 : columns % lanes;
    switch (taken) {
      case 1:
        strip<Units, 1>(rows, k, a, b, c, stride, add, tail);
        break;
      case 2:
        strip<Units, 2>(rows, k, a, b, c, stride, add, tail);
        break;
#if defined(HEED_AVX512)
      case 3:
        strip<Units, 3>(rows, k, a, b, c, stride, add, tail);
        break;
      default:
        strip<Units, 4>(rows, k, a, b, c, stride, add, tail);
#endif
    }
    columns -= taken * lanes;
    b.data += taken * lanes;
    c += taken * lanes;
  }
}

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
