#pragma once
#include <cstdint>
#include <span>

namespace heed {

/// The temperature by which logits are to be divided so that probabilities fit how often they are right: the one of the
/// least negative log-likelihood, between 1/20 and 20. It changes no prediction.
///
/// logits: [examples, classes], of data that the model was not trained on. Throws Error when there is no example, or
/// logits are not as many as labels times classes. Guo et al. 2017 (arXiv:1706.04599).
double fitted_temperature(std::span<const float> logits, std::span<const std::int32_t> labels, std::int64_t classes);

/// How far confidence is from accuracy: the mean of |accuracy − mean confidence| over 15 equal intervals of confidence,
/// weighted by their examples; 0 … 1. Errors as above.
double calibration_error(std::span<const float> logits, std::span<const std::int32_t> labels, std::int64_t classes,
                         double temperature = 1.0);

}  // namespace heed
