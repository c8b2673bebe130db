#pragma once
#include <heed/data_config.h>
#include <heed/generation_config.h>
#include <heed/model_config.h>
#include <heed/training_config.h>

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace heed {

/// One of several tasks over one encoder: the recipe's [tasks.NAME].
struct TaskConfig {
  std::string name;
  std::string task = "classification";
  double weight = 1.0;
  DataConfig data;  ///< what is not said here is as in [data]

  bool operator==(const TaskConfig&) const = default;
  static void fields(auto& self, auto&& f) {
    f("task", self.task, "classification or question-answering", one_of({"classification", "question-answering"}));
    f("weight", self.weight, "what the task's loss is multiplied by", above(0));
    DataConfig::fields(self.data, f);
  }
};

/// All that a training depends on, as a TOML file says it. A recipe with a seed gives the same model every time.
struct Recipe {
  std::string task;
  std::string description;
  DataConfig data;
  VocabularyConfig vocabulary;
  BatchConfig batch;
  ModelConfig model;
  TrainingConfig training;
  GenerationConfig generation;
  std::vector<TaskConfig> tasks;  ///< task = "multi-task": two or more, in the order of their names

  bool operator==(const Recipe&) const = default;
  /// The keys at the top.
  static void fields(auto& self, auto&& f) {
    f("task", self.task, "what the model is for; must be given",
      one_of({"translation", "summarisation", "language-model", "classification", "question-answering", "multi-task"}));
    f("description", self.description, "a sentence for people");
  }
  static void sections(auto& self, auto&& f) {
    f("data", self.data, "which files, and how a line becomes an example");
    f("vocabulary", self.vocabulary, "how text becomes tokens");
    f("batch", self.batch, "how examples become batches");
    f("model", self.model, "the Transformer: a family (GPT-2, BERT, T5, …) is a choice of these");
    f("training", self.training, "how the model learns, and when it stops");
    f("generation", self.generation, "how text is made when `heed run` is not told otherwise");
  }
};

/// Reads a recipe file, then applies the overrides ("training.rate=0.001"; a text needs no quotes there) in order.
/// Nothing is resolved or checked across keys: see resolve_paths and check.
///
/// Throws Error with file, line and column (or the override) for what is not TOML, an unknown section or key (with the
/// nearest known one), a value of another type, and a value that its key does not allow.
Recipe read_recipe(const std::filesystem::path& path, const std::vector<std::string>& overrides = {});
/// The same from a text; `name` stands for the file in errors.
Recipe parse_recipe(std::string_view text, const std::string& name, const std::vector<std::string>& overrides = {});

/// Throws Error, in one sentence with a remedy, when keys contradict each other or what must be given is missing. Also
/// checks each value, for recipes that were not read from a file.
void check(const Recipe& recipe);

/// The recipe of one of its tasks alone.
Recipe recipe_of(const Recipe& recipe, const TaskConfig& task);

/// Makes file and model paths that are relative to `folder` (the recipe's) relative to the working folder.
void resolve_paths(Recipe& recipe, const std::filesystem::path& folder);

/// The recipe as TOML with every key (but an empty task); it reads back equal. With `documented`, comments say what
/// each key means and may hold: of Recipe{} that is the reference of all defaults.
std::string write_recipe(const Recipe& recipe, bool documented = false);

}  // namespace heed
