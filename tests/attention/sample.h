#pragma once
// Samples and their comparison with the reference. Tolerances come from norms and epsilon.
#include <gtest/gtest.h>

#include "attention/choice.h"

namespace heed::attention {

/// The difference's largest element against the expected values' scale: `epsilons` of float32 times its largest element
/// (and 1, what scores are made of).
inline void expect_close(const Tensor& actual, const std::vector<double>& expected, double epsilons,
                         const std::string& what) {
  ASSERT_EQ(actual.elements(), static_cast<std::int64_t>(expected.size())) << what;
  double norm = 1.0, worst = 0.0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const double value = actual.floats()[i];
    if (std::isinf(expected[i])) {
      ASSERT_EQ(value, expected[i]) << what << " at " << i;
      continue;
    }
    ASSERT_FALSE(std::isnan(value)) << what << " at " << i;
    norm = std::max(norm, std::abs(expected[i]));
    worst = std::max(worst, std::abs(value - expected[i]));
  }
  EXPECT_LE(worst, epsilons * std::numeric_limits<float>::epsilon() * norm) << what;
}

/// Rounding grows with the length of the sums: scores over the width, outputs over the keys.
inline double epsilons_of(const Choice& choice) {
  std::int64_t longest = 1;
  for (const auto& [queries, keys] : choice.lengths) longest = std::max({longest, queries, keys});
  return 8.0 * (8.0 + std::sqrt(static_cast<double>(choice.head_width)) + std::sqrt(static_cast<double>(longest)));
}

}  // namespace heed::attention
