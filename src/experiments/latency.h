#pragma once
#include "train/train_folder.h"

namespace heed {

/// Milliseconds that the model takes for one validation example by itself: to classify or score it, or, where the
/// answer is a text, to make that as the recipe's [generation] says. The median over some examples, after a first round
/// that is not counted. What else runs on the machine is the caller's to keep away.
double measure_latency(const TrainingStart& trained);

}  // namespace heed
