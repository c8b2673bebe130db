#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "experiments/cross_validation.h"

namespace heed {

/// The recipe of one fold: trains on all others, tests on it.
struct FoldRecipe {
  std::string name;
  Recipe recipe;
};

/// Divides the recipe's training data, and writes the parts of fold N to FOLDER/fold-N/{train,test}.jsonl (.txt in
/// language modelling); where every file is a fold nothing is written. Throws Error as cross_validate() does.
std::vector<FoldRecipe> make_fold_recipes(const Recipe& recipe, const CrossValidation& how,
                                          const std::filesystem::path& folder);

/// The same for parts that have been written before.
std::vector<FoldRecipe> existing_fold_recipes(const Recipe& recipe, const CrossValidation& how,
                                              const std::filesystem::path& folder);

}  // namespace heed
