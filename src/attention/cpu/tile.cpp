#include "attention/cpu/tile.h"

namespace heed::HEED_ISA {

namespace {

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
void strip(int rows, std::int64_t k, Factor a, Panel b, float* c, std::int64_t stride, bool add, int tail) {
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

}  // namespace

template <class Units>
void multiply(int rows, int columns, std::int64_t k, Factor a, Panel b, float* c, std::int64_t stride, bool add) {
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

template void multiply<Float32Units>(int, int, std::int64_t, Factor, Panel, float*, std::int64_t, bool);
#if defined(HEED_ISA_IS_avx512_bf16)
template void multiply<BFloat16Units>(int, int, std::int64_t, Factor, Panel, float*, std::int64_t, bool);
#endif

}  // namespace heed::HEED_ISA
