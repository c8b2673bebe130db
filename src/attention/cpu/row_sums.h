#pragma once
#include <cstdint>

namespace heed::attention {

/// Of a row of weights w.
struct RowSums {
  double weights = 0.0;      ///< Σ w
  double information = 0.0;  ///< Σ w·ln w
  double distance = 0.0;     ///< Σ w·|position − key|
};

struct RowSumming {
  /// Of `count` weights, those of keys from 0 on, of the query at `position`.
  void (*sums)(const float* weights, std::int64_t count, std::int64_t position, RowSums* sums);
};

}  // namespace heed::attention
