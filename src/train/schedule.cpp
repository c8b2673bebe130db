#include "train/schedule.h"

#include <heed/error.h>

#include <algorithm>
#include <cmath>
#include <numbers>

namespace heed {

double learning_rate(const TrainingConfig& config, std::int64_t step, double progress) {
  const double warmup = static_cast<double>(config.warmup), at = static_cast<double>(step) + 1.0;
  if (at < warmup) return config.rate * at / warmup;
  progress = std::clamp(progress, 0.0, 1.0);
  double share = 1.0;
  if (config.schedule == "cosine")
    share = 0.5 * (1.0 + std::cos(std::numbers::pi * progress));
  else if (config.schedule == "linear")
    share = 1.0 - progress;
  else if (config.schedule == "inverse-square-root")
    return config.rate * std::sqrt(std::max(warmup, 1.0) / at);
  else if (config.schedule != "constant")
    throw Error("training.schedule is \"{}\": cosine, linear, inverse-square-root and constant are known",
                config.schedule);
  return config.rate * (config.final_rate + (1.0 - config.final_rate) * share);
}

}  // namespace heed
