#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "text/batches.h"
#include "train/recipe.h"

namespace heed {

/// What a training reads: the vocabularies and the batches of both parts of the data.
struct PreparedData {
  TextEncoder text;
  std::shared_ptr<const TokenStore> train_store, validation_store;
  std::unique_ptr<Batches> train;
  std::unique_ptr<Batches> validation;  ///< null without validation data
  std::vector<float> class_weights;     ///< by training.class_weights; empty: all 1
  std::string fingerprint;              ///< changes when the examples or vocabularies do
};

/// Told what is being made ("vocabulary", "training data", …) and the share of it that is done.
using PrepareProgress = std::function<void(const std::string& what, double share)>;

/// Makes vocabularies and labels from the recipe's training files, or takes them from `vocabulary.from`.
TextEncoder make_text_encoder(const Recipe& recipe, const PrepareProgress& progress = {});

/// The same of each of its tasks, with one vocabulary of all their training texts.
std::vector<TextEncoder> make_text_encoders(const Recipe& recipe, const PrepareProgress& progress = {});

/// Tokenises the recipe's files into FOLDER/data (once; kept while files and settings stay the same) and makes batches
/// of them. Throws Error naming file and line for what the readers refuse.
PreparedData prepare(const Recipe& recipe, TextEncoder text, const std::filesystem::path& folder,
                     const PrepareProgress& progress = {});

/// Most tokens of a sequence, begin and end counted.
std::int64_t longest_sequence(const Recipe& recipe);

/// Batches of other files (a test set) for evaluate(): all examples, sorted by length; or, where carries_states, a text
/// in order. `kept_apart`: the files are the training's, and of them only the articles that data.test_split keeps
/// apart.
std::unique_ptr<Batches> evaluation_batches(const Recipe& recipe, const TextEncoder& text, const DataFiles& files,
                                            const std::filesystem::path& store, bool kept_apart = false);

}  // namespace heed
