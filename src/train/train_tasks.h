#pragma once
#include "train/train_folder.h"

namespace heed {

/// The train_folder of a recipe with several tasks: one encoder and vocabulary, and for each task its own answers on
/// top. The folder holds the weights of all and, in tasks/NAME, a model folder of each task, whose weights are there.
/// Validations measure every task ("NAME.accuracy") and the mean of what all of them have in common, by the tasks'
/// weights ("accuracy").
TrainingResult train_tasks(const Recipe& recipe, const FolderTraining& how);

}  // namespace heed
