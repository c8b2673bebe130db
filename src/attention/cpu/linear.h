#pragma once
#include <cstdint>

namespace heed::attention {

/// Rows of float32, `stride` elements apart.
struct Rows {
  float* data = nullptr;
  std::int64_t stride = 0;
  float* row(std::int64_t i) const { return data + i * stride; }
  Rows from(std::int64_t i) const { return {data + i * stride, stride}; }
};

/// One key-value head of some rows of one sequence. Decays and betas without memory: there are none.
struct LinearHead {
  Rows query;  ///< the group's heads, one after the other
  Rows key, value, decay, beta;
  Rows output;  ///< as query, of the values' width
  std::int64_t rows = 0;
  int group = 1, key_width = 0, value_width = 0;
  bool decay_each = false;  ///< a decay for each dimension of the keys
  float scale = 1.0f;
};

/// What linear attention does beside matrix products. `a` are the decays exp(g) of rows, [rows, width], or, when `one`,
/// [rows, 1]; they are multiplied up, never divided, so that any decay down to 0 is exact. Matrices A are [rows, rows]
/// and lower triangular. Nothing allocates; all run on the calling thread. faded: scratch, [width].
struct LinearKernels {
  /// Row by row; `state` [key_width, value_width] is moved on.
  void (*recur)(const LinearHead& head, float* state, float* faded);

  void (*exponentials)(Rows g, std::int64_t rows, int width, Rows a);
  /// y[t] (+)= x[t]·Π_{r ≤ t} a[r], or, when `back`, x[t]·Π_{r > t} a[r]. product: Π of all rows, or null.
  void (*fade)(Rows x, Rows a, bool one, bool back, std::int64_t rows, int width, bool accumulate, Rows y,
               float* product);
  /// x[t,d] ← x[t,d]·factor[d].
  void (*scale_columns)(Rows x, const float* factor, std::int64_t rows, int width);
  /// x[d] ← x[d]·factor[d], or ·factor[0] when `one`.
  void (*scale_rows)(Rows x, const float* factor, bool one, std::int64_t rows, int width);
  /// sums[t] = Σ_{s ≥ t} x[s].
  void (*sum_back)(Rows x, std::int64_t rows, int width, Rows sums);

  /// P[t][s] = Π_{s < r ≤ t} a[r] for s ≤ t.
  void (*products)(Rows a, std::int64_t rows, Rows P);
  /// A[t][s] ← A[t][s]·P[t][s] (P without memory: 1) for s ≤ t (s < t when strict), else 0.
  void (*hide)(Rows A, Rows P, bool strict, std::int64_t rows);
  /// A[t][s] = Σ_d q[t,d]·k[s,d]·Π_{s < r ≤ t} a[r,d] for s ≤ t (s < t when strict), else 0.
  void (*near_scores)(Rows q, Rows k, Rows a, std::int64_t rows, int width, bool strict, float* faded, Rows A);
  /// x[t,d] += Σ_s dA[t][s]·k[s,d]·Π a: what near_scores gives back to q …
  void (*near_rows)(Rows dA, Rows k, Rows a, std::int64_t rows, int width, bool strict, float* faded, Rows x);
  /// … and to k: y[s,d] += Σ_t dA[t][s]·q[t,d]·Π a.
  void (*near_columns)(Rows dA, Rows q, Rows a, std::int64_t rows, int width, bool strict, float* faded, Rows y);

  /// error[t] −= Σ_{s < t} L[t][s]·u[s], where u[t] = beta[t]·error[t]; from the first row to the last.
  void (*solve)(Rows L, Rows beta, std::int64_t rows, int width, Rows error, Rows u);
  /// w[t] −= Σ_{s > t} beta[s]·L[s][t]·w[s], from the last row to the first; then dbeta[t] = w[t]·error[t] and
  /// w[t] ← beta[t]·w[t].
  void (*solve_back)(Rows L, Rows beta, Rows error, std::int64_t rows, int width, Rows w, Rows dbeta);

  /// sums[t,d] += factor·x[t,d]·y[t,d]; when `one`, sums[t] += factor·Σ_d x[t,d]·y[t,d].
  void (*add_products)(Rows x, Rows y, float factor, std::int64_t rows, int width, bool one, Rows sums);
};

}  // namespace heed::attention
