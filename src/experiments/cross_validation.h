#pragma once
#include <atomic>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "experiments/mean_interval.h"
#include "train/trainer.h"

namespace heed {

/// How the training data of a recipe are divided.
struct CrossValidation {
  int folds = 0;           ///< 0: every training file is a fold
  bool stratified = true;  ///< classification: every fold gets its share of each class
  std::string group;       ///< a column whose equal values stay in one fold; "file": the examples of a file do
  std::uint64_t seed = 1;  ///< decides who goes where; the training has the recipe's own
};

struct FoldResult {
  int fold = 0;               ///< from 1
  std::string name;           ///< "fold 3", or the file
  std::int64_t examples = 0;  ///< that were tested on
  std::int64_t steps = 0;
  double seconds = 0.0;  ///< of training
  std::string reason;    ///< why the training ended
  Measures measures;     ///< on the fold, by a model that never saw it
};

struct CrossValidationRun {
  std::filesystem::path folder;
  int parallel = 1;  ///< folds side by side, each with its share of the threads
  int threads = 0;   ///< all together; 0: the processors that the process may use
  const std::atomic<bool>* stop = nullptr;
  bool resume = false;  ///< go on in a folder that holds some of the folds
  /// Both may be called from several threads at once. `share` of fold 1 … that is done, with words about it.
  std::function<void(int fold, double share, const std::string& text)> progress{};
  std::function<void(const FoldResult&)> finished{};
};

struct CrossValidationReport {
  std::vector<FoldResult> folds;                 ///< those that are finished, in their order
  std::map<std::string, MeanInterval> measures;  ///< over all folds, when all are finished
  bool interrupted = false;
};

/// Trains the recipe once for each fold, on all others, and measures it on the fold; best checkpoints are chosen by the
/// recipe's own validation data (data.validation_split is taken from the training part), never by the fold.
///
/// FOLDER/crossval.json says how the data are divided, FOLDER/fold-N is a model folder with result.json, once finished.
/// After kill -9 finished folds are kept, and the others resume as a training does. With fold files the recipe's format
/// is read as it is; else the parts are written as JSON lines beside the models. Language modelling of a stream is cut
/// into blocks of neighbouring lines.
///
/// Throws Error, in one sentence, for a class that a fold lacks, for groups or files fewer than folds, for a folder
/// that holds another cross-validation (or one at all, without `resume`), and for what a training refuses.
CrossValidationReport cross_validate(const Recipe& recipe, const CrossValidation& how, const CrossValidationRun& run);

}  // namespace heed
