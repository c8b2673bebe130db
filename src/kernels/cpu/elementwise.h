#pragma once
#include "kernels/rows.h"

namespace heed::kernels {

/// Operators on elements and sums of them, on all rows of the views given; as in rows.h.
struct ElementwiseKernels {
  void (*add_scaled)(View x, float a, View y, float b);
  void (*add)(View x, View y, View z);
  void (*convert)(View from, View to);
  /// sum[j] += Σ_rows x[i, j].
  void (*add_rows)(View x, float* sum);
  double (*sum_of_squares)(View x);
  bool (*all_finite)(View x);
  /// Element j of row i has index `first` + i·width + j (mod 2³²); it is kept when its hash is at least `threshold`,
  /// and then multiplied by `scale`.
  void (*dropout)(View x, std::uint32_t threshold, float scale, std::uint64_t key, std::uint32_t first, View y,
                  bool accumulate);
};

}  // namespace heed::kernels
