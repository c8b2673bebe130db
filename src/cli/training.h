#pragma once
#include <filesystem>
#include <string>

#include "cli/commands.h"
#include "train/model_folder.h"
#include "train/trainer.h"

namespace heed::cli {

/// Trains a recipe into a folder, with a progress bar and the validations on stderr: what `heed train` and
/// `heed quickstart` both do. Paths in the recipe are taken as they are.
TrainingResult train_recipe(const Recipe& recipe, const std::filesystem::path& folder, const Common& common,
                            bool resume);

}  // namespace heed::cli
