#pragma once
#include <heed/model.h>
#include <heed/optimizer.h>

#include <filesystem>
#include <string>
#include <vector>

#include "formats/safetensors.h"
#include "tasks/carried_states.h"

namespace heed {

/// Where a training into a model folder keeps its state.
inline std::filesystem::path checkpoint_file(const std::filesystem::path& folder) {
  return folder / "checkpoint" / "last.safetensors";
}

/// Where a training stands: with the weights and moments, everything that the next step depends on.
struct Progress {
  std::int64_t step = 0;  ///< optimiser steps made
  std::int64_t epoch = 0;
  std::int64_t batch = 0;   ///< next batch of the epoch
  std::int64_t tokens = 0;  ///< predictions trained on
  double seconds = 0.0;     ///< of training, validation not counted
  double best = 0.0;        ///< best validation value so far, when best_step > 0
  std::int64_t best_step = 0;
  std::int64_t validations = 0;
  std::int64_t without_better = 0;  ///< validations since the best
  std::int64_t validated_step = 0;
  double loss_sum = 0.0;  ///< since the last line of metrics
  std::int64_t loss_count = 0;
  std::int64_t metrics_bytes = 0;  ///< length of the metrics file
  bool finished = false;
};

/// Writes weights, moments and progress as one safetensors file, replaced atomically: after a kill at any moment the
/// old or the new one is whole. `averages`: the moving average of the weights, or empty. `states`: of streams of text.
void save_checkpoint(const std::filesystem::path& file, Model& model, const Optimizer& optimizer,
                     const std::vector<Tensor>& averages, const CarriedStates& states, const Progress& progress,
                     const std::string& recipe_fingerprint);
/// Reads it back, checksums verified. Throws Error naming the file when it is altered, or of another recipe or model.
Progress load_checkpoint(const std::filesystem::path& file, Model& model, Optimizer& optimizer,
                         std::vector<Tensor>& averages, CarriedStates& states, const std::string& recipe_fingerprint);

/// The model's weights by name, ready to be written.
NamedTensors named_weights(Model& model);
/// Puts a file's tensors into the model; the names must be the model's, all of them, with its shapes. Values stay in
/// the mapped file until they are changed. Throws Error naming the first that is missing, unknown or of another shape.
void load_weights(const SafetensorsReader& file, Model& model);
/// The same of one task's model from the weights of several (shared_name).
void load_task_weights(const SafetensorsReader& file, Model& model, const std::string& task);

}  // namespace heed
