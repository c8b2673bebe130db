#pragma once
// Additive scores v·tanh(q + k) (Bahdanau et al. 2015, arXiv:1409.0473). With t = tanh(q + k) = 1 − 2r, r = 1 / (1 +
// e^2q e^2k): the exponentials are those of single queries and keys, so a pair costs one reciprocal, and t' = 4(r −
// r²).
#include "attention/cpu/adjust.h"

namespace heed::HEED_ISA {

/// Elements stand as e^(2x), or, where some are so large that a product could overflow, as they are.
enum class Form : unsigned char { exponential, plain };

/// Zeroes what the last panel has beyond the whole vectors of its columns: packing leaves it as it was, and what was
/// there must not decide the form.
static void clear_beyond(float* panels, std::int64_t columns, std::int64_t units) {
  const std::int64_t inside = columns % panel_width;
  if (inside == 0) return;
  float* const panel = panels + (columns - inside) * units;
  for (std::int64_t i = 0; i < units; ++i)
    for (std::int64_t c = whole_vectors(inside); c < panel_width; c += lanes)
      store(panel + i * panel_width + c, zero());
}

/// e^(2x) of every element in place, if none is beyond ±20; whole vectors.
static Form exponentiate(float* data, std::int64_t count) {
  F largest = zero();
  for (std::int64_t i = 0; i < count; i += lanes) {
    const F x = absolute(load(data + i));
    largest = select(x > largest, x, select(x != x, set1(infinity), largest));
  }
  if (!(reduce_max(largest) <= 20.0f)) return Form::plain;
  for (std::int64_t i = 0; i < count; i += lanes) store(data + i, exp2(load(data + i) * set1(2.0f * log2_e)));
  return Form::exponential;
}

/// r of a pair.
template <Form form>
HEED_INLINE F share(F a, F b) {
  if constexpr (form == Form::exponential) return reciprocal(fma(a, b, set1(1.0f)));
  return fma(tanh(a + b), set1(-0.5f), set1(0.5f));
}

/// scores[R][N vectors] = Σ_i v_i (1 − 2 r_i): rows along `width`, columns from a panel.
template <Form form, int R, int N>
static void additive_tile(int width, const float* rows, std::int64_t row_stride, const float* panel,
                          const float* direction, float* scores, std::int64_t stride) {
  F sum[R][N];
  for (int r = 0; r < R; ++r)
    for (int n = 0; n < N; ++n) sum[r][n] = zero();
  F all = zero();
  for (int i = 0; i < width; ++i) {
    const F v = set1(direction[i]), twice = set1(-2.0f) * v;
    all = all + v;
    F column[N];
    HEED_UNROLL
    for (int n = 0; n < N; ++n) column[n] = load(panel + i * panel_width + n * lanes);
    HEED_UNROLL
    for (int r = 0; r < R; ++r) {
      const F row = set1(rows[r * row_stride + i]);
      HEED_UNROLL
      for (int n = 0; n < N; ++n) sum[r][n] = fma(share<form>(row, column[n]), twice, sum[r][n]);
    }
  }
  for (int r = 0; r < R; ++r)
    for (int n = 0; n < N; ++n) store(scores + r * stride + n * lanes, sum[r][n] + all);
}

/// Columns: whole vectors within one panel.
template <Form form>
static void additive_scores(int rows, int columns, int width, const float* row, std::int64_t row_stride,
                            const float* panel, const float* direction, float* scores, std::int64_t stride) {
  for (; columns > 0; columns -= 2 * lanes, panel += 2 * lanes, scores += 2 * lanes)
    for (int r = 0; r < rows;) {
      const float* const from = row + r * row_stride;
      float* const to = scores + r * stride;
      if (columns >= 2 * lanes && r + 3 <= rows) {
        additive_tile<form, 3, 2>(width, from, row_stride, panel, direction, to, stride);
        r += 3;
      } else if (columns >= 2 * lanes) {
        additive_tile<form, 1, 2>(width, from, row_stride, panel, direction, to, stride);
        ++r;
      } else {
        additive_tile<form, 1, 1>(width, from, row_stride, panel, direction, to, stride);
        ++r;
      }
    }
}
[[maybe_unused]] static void additive_scores(Form form, int rows, int columns, int width, const float* row,
                                             std::int64_t row_stride, const float* panel, const float* direction,
                                             float* scores, std::int64_t stride) {
  (form == Form::exponential
       ? additive_scores<Form::exponential>
       : additive_scores<Form::plain>)(rows, columns, width, row, row_stride, panel, direction, scores, stride);
}

/// What a strip of gradients dS gives back, for whole vectors within one panel: with w = 4 dS v (r − r²),
///   column_gradients[i][column] += Σ_rows w,  row_sums[row][i] += Σ_columns w,  direction_sums[i] += Σ dS (1 − 2r),
/// the last two as vectors whose lanes are added up at the end.
template <Form form, int N>
static void additive_gradients(int rows, int width, const float* row, std::int64_t row_stride, const float* panel,
                               const float* direction, const float* dscores, std::int64_t stride,
                               float* column_gradients, std::int64_t column_stride, float* row_sums,
                               float* direction_sums) {
  for (int i = 0; i < width; ++i) {
    F column[N], sum[N];
    for (int n = 0; n < N; ++n) {
      column[n] = load(panel + i * panel_width + n * lanes);
      sum[n] = zero();
    }
    const F factor = set1(4.0f * direction[i]);
    F along = load(direction_sums + i * lanes);
    for (int r = 0; r < rows; ++r) {
      const F own = set1(row[r * row_stride + i]);
      F total = zero();
      HEED_UNROLL
      for (int n = 0; n < N; ++n) {
        const F dscore = load(dscores + r * stride + n * lanes), part = share<form>(own, column[n]);
        along = along + fma(part, set1(-2.0f) * dscore, dscore);
        const F w = dscore * (part - part * part);
        sum[n] = sum[n] + w;
        total = total + w;
      }
      float* const to = row_sums + (r * std::int64_t{width} + i) * lanes;
      store(to, fma(total, factor, load(to)));
    }
    store(direction_sums + i * lanes, along);
    for (int n = 0; n < N; ++n) {
      float* const to = column_gradients + i * column_stride + n * lanes;
      store(to, fma(sum[n], factor, load(to)));
    }
  }
}

}  // namespace heed::HEED_ISA
