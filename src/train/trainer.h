#pragma once
#include <heed/model.h>

#include <atomic>
#include <filesystem>
#include <functional>
#include <string>

#include "tasks/evaluate.h"
#include "train/checkpoint.h"
#include "train/recipe.h"
#include "train/task_mixture.h"

namespace heed {

struct StepReport {
  std::int64_t step = 0;
  double done = 0.0;  ///< share of the training, 0 to 1
  double epoch = 0.0;
  double loss = 0.0;  ///< of this step, a prediction
  double rate = 0.0;
  double tokens_per_second = 0.0;  ///< of late
  double seconds_left = 0.0;
};

/// Told what happens; every function may be empty.
struct TrainingObserver {
  std::function<void(const StepReport&)> step;
  std::function<void(std::int64_t step, const Measures&, bool best)> validated;
  std::function<void(const std::string&)> note;
};

struct TrainingRun {
  const Recipe* recipe = nullptr;
  std::filesystem::path folder;  ///< the model folder: model.safetensors, metrics.jsonl, checkpoint/
  Model* model = nullptr;
  std::vector<TrainedTask> tasks;                                       ///< of that model, one or more
  std::string data_fingerprint;                                         ///< a resumed training must have the same
  std::function<Measures(Arena& arena, Precision precision)> validate;  ///< empty: no validation data
  ThreadPool* pool = nullptr;
  const std::atomic<bool>* stop = nullptr;  ///< set from outside: finish the step, save and return
  /// Asked after every step; true: validate, save and return, to be gone on with later (resume).
  std::function<bool(const StepReport&)> pause;
  TrainingObserver observer;
  bool resume = false;
};

struct TrainingResult {
  Progress progress;
  std::string reason;  ///< why it ended: "steps", "epochs", "minutes", "patience", "interrupted", "paused"
};

/// Trains from where the folder's checkpoint stands (resume) or from the model's present weights.
///
/// Bits are a function of recipe, data and seed, whatever the number of threads and however often the run was killed
/// and resumed. Throws Error when a loss or gradient is not finite (naming step, layer and the last checkpoint), when
/// memory will not do, and when a file cannot be written; the last checkpoint stays.
TrainingResult train(const TrainingRun& run);

/// bfloat16 or float32 by the recipe's training.precision and what the processor multiplies faster.
Precision precision_of(const TrainingConfig& config);

/// Bytes that a training step is expected to need, from the weights and the largest batch.
std::int64_t estimated_memory(Model& model, const Recipe& recipe, std::int64_t batch_tokens);

}  // namespace heed
