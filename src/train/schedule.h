#pragma once
#include <heed/training_config.h>

#include <cstdint>

namespace heed {

/// The learning rate at a step (from 0): linear warm-up, then the recipe's schedule. `progress` in [0, 1] is how much
/// of the training is over: by steps, epochs or the clock, whichever ends it. Inverse square root: Vaswani et al. 2017,
/// eq. 3.
double learning_rate(const TrainingConfig& config, std::int64_t step, double progress);

}  // namespace heed
