#pragma once
#include <filesystem>
#include <functional>
#include <string>

#include "train/prepare.h"
#include "train/trainer.h"

namespace heed {

/// What is known when a training is about to begin.
struct TrainingStart {
  const Recipe& recipe;
  const PreparedData& data;
  Model& model;
  ThreadPool& pool;
  Precision precision;
};

/// How a recipe is trained into a model folder; every function may be empty.
struct FolderTraining {
  std::filesystem::path folder;
  std::filesystem::path data_folder{};  ///< where the tokenised data lie; empty: in `folder`. Trainings may share one
  ThreadPool* pool = nullptr;
  const std::atomic<bool>* stop = nullptr;  ///< set from outside: finish the step, save and return
  /// Vocabularies and labels that were made before, of the same data and vocabulary settings; null: they are made.
  const TextEncoder* text = nullptr;
  bool resume = false;                             ///< go on from the folder's checkpoint, where there is one
  std::function<bool(const StepReport&)> pause{};  ///< see TrainingRun
  PrepareProgress preparing{};
  std::function<void(const TrainingStart&)> starting{};
  /// After the last step, with the weights as they are then (unless the training was interrupted).
  std::function<void(const TrainingStart&)> ended{};
  TrainingObserver observer{};
};

/// Makes vocabularies and data, writes the model folder and trains the recipe into it: all of `heed train` but its
/// words. Paths in the recipe are taken as they are. Throws Error for what prepare() and train() refuse, for a step
/// that needs more memory than is free, and for a training.start_from without a weight of this model.
TrainingResult train_folder(const Recipe& recipe, const FolderTraining& how);

/// Measures a model on the validation data as a training of the recipe does: evaluate(), and by its answers where the
/// best checkpoint is chosen so (measure_validation_answers).
Measures validate(const Recipe& recipe, const PreparedData& data, const Evaluation& with);

/// Gives a model its first weights and makes of it all of a run but its tasks and their validation: embeddings start
/// from the recipe's word vectors, unless the training goes on from a checkpoint, and weights from another model folder
/// where name and shape agree. `text`: the encoder of the input. Throws Error when none do, and when a training step is
/// expected to need more memory than is free.
TrainingRun run_of(const Recipe& recipe, Model& model, const TextEncoder& text, const FolderTraining& how);

/// Whether a training has left a state in a model folder from which it can go on.
bool has_checkpoint(const std::filesystem::path& folder);

}  // namespace heed
