#pragma once
#include <cstdint>
#include <span>

namespace heed {

/// A mean of independent measurements and how far it may be off.
struct MeanInterval {
  std::int64_t count = 0;
  double mean = 0.0;
  double deviation = 0.0;   ///< of the sample (divided by count − 1); 0 for a single value
  double half_width = 0.0;  ///< the interval is mean ± half_width; not finite for a single value
};

/// The mean with its confidence interval by Student's t (Student 1908, "The Probable Error of a Mean"). `confidence` in
/// (0, 1). Throws Error for no values.
MeanInterval mean_interval(std::span<const double> values, double confidence = 0.95);

/// The t that a variable of Student's distribution exceeds in magnitude with probability 1 − confidence; degrees >= 1.
double student_t(double confidence, std::int64_t degrees);

}  // namespace heed
