#pragma once
#include <heed/model.h>

#include <filesystem>
#include <memory>
#include <string>

#include "text/examples.h"
#include "train/recipe.h"

namespace heed {

/// A trained model: one folder that can be moved and copied. It holds
///   heed.json           format version, sizes of the vocabularies, names of the classes
///   recipe.toml         what the model is and how it was trained
///   source.*, target.*  the vocabularies (target only where it is another)
///   model.safetensors   the weights
/// and, of its training, metrics.jsonl and checkpoint/, which running it does not need. A model of several tasks is a
/// folder with the weights of all and such a folder without weights for each of them, tasks/NAME.
struct ModelFolder {
  static constexpr int format_version = 1;
  std::filesystem::path path;
  Recipe recipe;
  TextEncoder text;
  ModelSizes sizes;
  std::unique_ptr<Model> model;
  double temperature = 1.0;  ///< of a calibrated classifier, see fitted_temperature
};

/// "language-model", "translation", "summarisation", "classification" and "question-answering" as the text room names
/// them.
Task task_named(const std::string& name);

/// Sizes that the vocabularies and classes give a model.
ModelSizes sizes_of(const TextEncoder& text);

/// Writes everything but the weights, each file atomically.
void write_model_folder(const std::filesystem::path& path, const Recipe& recipe, const TextEncoder& text);

/// The same of a model of several tasks, which lie in tasks/NAME.
void write_tasks_folder(const std::filesystem::path& path, const Recipe& recipe);
/// The names of its tasks; none for a model of one task.
std::vector<std::string> tasks_in(const std::filesystem::path& path);
/// The folder of one of its tasks, or `path` itself when no task is named and the model is of one. Throws Error naming
/// the tasks there are.
std::filesystem::path task_folder(const std::filesystem::path& path, const std::string& task);

/// Writes the temperature of a classifier into a folder that is there.
void write_temperature(const std::filesystem::path& path, double temperature);

/// Reads a folder; weights are mapped, not read. Throws Error, in one sentence, for a folder that is missing or is not
/// a model, a later format version, an altered or truncated file, and weights of another architecture. With `verify`
/// every checksum is computed.
ModelFolder load_model_folder(const std::filesystem::path& path, bool verify = false);
/// The same without weights: what a training writes first, or `heed info` of one that has not saved yet.
ModelFolder load_model_description(const std::filesystem::path& path);

}  // namespace heed
