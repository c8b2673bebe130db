#include "experiments/fold_data.h"

#include <heed/error.h>

#include "experiments/folds.h"
#include "formats/file.h"
#include "formats/json_text.h"
#include "text/examples.h"
#include "train/model_folder.h"

namespace heed {

namespace {

namespace fs = std::filesystem;

/// All training examples, with the file that each came from.
struct Material {
  std::vector<TextExample> examples;
  std::vector<std::string> labels, groups;
  std::vector<int> files;
};

Material read_material(const Recipe& recipe, const std::string& group) {
  const Task task = task_named(recipe.task);
  const DataFiles all = data_files(recipe.data, DataPart::train, "");
  Material material;
  for (std::size_t file = 0; file < all.source.size(); ++file) {
    DataFiles one{{all.source[file]}, {}};
    if (!all.target.empty()) one.target = {all.target[file]};
    ExampleReader reader(recipe.data, task, one, group == "file" ? "" : group);
    for (TextExample example; reader.next(example);) {
      material.files.push_back(static_cast<int>(file));
      if (task == Task::classification) material.labels.push_back(example.label);
      if (!group.empty()) material.groups.push_back(group == "file" ? std::to_string(file) : example.value);
      material.examples.push_back(std::move(example));
    }
  }
  return material;
}

bool is_text_alone(const Recipe& recipe) { return recipe.task == "language-model"; }

std::string part_name(const Recipe& recipe, const char* part) {
  return format("{}.{}", part, is_text_alone(recipe) ? "txt" : "jsonl");
}

fs::path folder_of(const fs::path& folder, int fold) { return folder / format("fold-{}", fold + 1); }

std::string written(const TextExample& example, const Recipe& recipe) {
  if (is_text_alone(recipe)) return example.source + "\n";
  const bool classes = recipe.task == "classification";
  std::string line = format("{\"text\": {}, \"{}\": {}", json_quote(example.source), classes ? "label" : "target",
                            json_quote(classes ? example.label : example.target));
  if (!example.references.empty()) {
    std::string list;
    for (const std::string& reference : example.references) list += (list.empty() ? "" : ", ") + json_quote(reference);
    line += ", \"references\": [" + list + "]";
  }
  return line + "}\n";
}

void write_part(const fs::path& path, const Material& material, const std::vector<int>& folds, const Recipe& recipe,
                int fold, bool test) {
  write_file_atomically(path, [&](Writer& writer) {
    for (std::size_t i = 0; i < material.examples.size(); ++i)
      if ((folds[i] == fold) == test) writer.write(written(material.examples[i], recipe));
  });
}

FoldRecipe recipe_of_files(const Recipe& recipe, std::size_t fold) {
  FoldRecipe found{fs::path(recipe.data.train[fold]).filename().string(), recipe};
  DataConfig& data = found.recipe.data;
  data.test = {data.train[fold]};
  data.train.erase(data.train.begin() + static_cast<std::ptrdiff_t>(fold));
  data.test_target.clear();
  if (!data.train_target.empty()) {
    data.test_target = {data.train_target[fold]};
    data.train_target.erase(data.train_target.begin() + static_cast<std::ptrdiff_t>(fold));
  }
  return found;
}

FoldRecipe recipe_of_parts(const Recipe& recipe, int fold, const fs::path& folder) {
  FoldRecipe found{format("fold {}", fold + 1), recipe};
  DataConfig& data = found.recipe.data;
  if (!data.validation.empty() && !is_text_alone(recipe))
    throw Error(
        "data.validation: folds are written in a form of their own, which files beside them need not have; use "
        "data.validation_split, or every training file as a fold");
  data.train = {fs::absolute(folder_of(folder, fold) / part_name(recipe, "train")).string()};
  data.test = {fs::absolute(folder_of(folder, fold) / part_name(recipe, "test")).string()};
  data.train_target.clear();
  data.test_target.clear();
  data.format = is_text_alone(recipe) ? "lines" : "jsonl";
  data.text_column = "text";
  data.label_column = "label";
  data.target_column = "target";
  data.label_names.clear();  // they have been read as names
  if (!data.reference_column.empty()) data.reference_column = "references";
  return found;
}

/// Classes of files that are folds are checked before anything is trained.
void check_files(const Recipe& recipe) {
  if (recipe.data.train.size() < 2)
    throw Error("data.train names {} file: with every file a fold, cross-validation needs 2 or more",
                recipe.data.train.size());
  if (recipe.task != "classification") return;
  const Material material = read_material(recipe, "");
  check_classes(material.labels, material.files, static_cast<int>(recipe.data.train.size()), recipe.data.train);
}

}  // namespace

std::vector<FoldRecipe> existing_fold_recipes(const Recipe& recipe, const CrossValidation& how,
                                              const fs::path& folder) {
  std::vector<FoldRecipe> recipes;
  const int count = how.folds == 0 ? static_cast<int>(recipe.data.train.size()) : how.folds;
  for (int fold = 0; fold < count; ++fold)
    recipes.push_back(how.folds == 0 ? recipe_of_files(recipe, static_cast<std::size_t>(fold))
                                     : recipe_of_parts(recipe, fold, folder));
  return recipes;
}

std::vector<FoldRecipe> make_fold_recipes(const Recipe& recipe, const CrossValidation& how, const fs::path& folder) {
  if (how.folds == 0) {
    check_files(recipe);
    return existing_fold_recipes(recipe, how, folder);
  }
  if (recipe.task == "question-answering")
    throw Error(
        "articles of question answering are not divided; give each fold as a file in data.train, and --folds files");
  const std::vector<FoldRecipe> recipes = existing_fold_recipes(recipe, how, folder);
  const Material material = read_material(recipe, how.group);
  std::vector<int> folds;
  if (is_text_alone(recipe) && recipe.data.documents == "stream" && how.group.empty()) {
    folds = make_blocks(material.examples.size(), how.folds);
  } else {
    const std::vector<std::string> none;
    folds = make_folds({material.examples.size(), how.stratified ? material.labels : none, material.groups}, how.folds,
                       how.seed);
  }
  check_classes(material.labels, folds, how.folds);
  for (int fold = 0; fold < how.folds; ++fold) {
    fs::create_directories(folder_of(folder, fold));
    write_part(folder_of(folder, fold) / part_name(recipe, "train"), material, folds, recipe, fold, false);
    write_part(folder_of(folder, fold) / part_name(recipe, "test"), material, folds, recipe, fold, true);
  }
  return recipes;
}

}  // namespace heed
