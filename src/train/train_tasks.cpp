#include "train/train_tasks.h"

#include <heed/error.h>

#include <map>

#include "models/task_models.h"
#include "train/model_folder.h"

namespace heed {

namespace {

/// What belongs to one task.
struct TaskData {
  const TaskConfig* config;
  Recipe recipe;
  PreparedData data;
};

Measures validate_tasks(const std::vector<TaskData>& tasks, const TaskModels& models, Arena& arena, ThreadPool& pool,
                        Precision precision) {
  Measures all, sums;
  std::map<std::string, std::size_t> counts;
  double weights = 0.0;
  for (std::size_t i = 0; i < tasks.size(); ++i) {
    const auto& [config, recipe, data] = tasks[i];
    for (const auto& [name, value] :
         validate(recipe, data, {*models.parts()[i].model, data.text, arena, pool, precision})) {
      all[config->name + "." + name] = value;
      sums[name] += config->weight * value;
      ++counts[name];
    }
    weights += config->weight;
  }
  for (const auto& [name, sum] : sums)
    if (counts[name] == tasks.size()) all[name] = sum / weights;
  return all;
}

}  // namespace

TrainingResult train_tasks(const Recipe& recipe, const FolderTraining& how) {
  const std::filesystem::path& folder = how.folder;
  std::vector<TextEncoder> texts;
  if (how.resume)
    for (const TaskConfig& task : recipe.tasks)
      texts.push_back(load_model_description(folder / "tasks" / task.name).text);
  else
    texts = make_text_encoders(recipe, how.preparing);

  std::vector<TaskData> tasks;
  std::vector<TaskModels::Part> parts;
  std::size_t validated = 0;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    const TaskConfig& config = recipe.tasks[i];
    const Recipe one = recipe_of(recipe, config);
    const std::filesystem::path own = folder / "tasks" / config.name;
    tasks.push_back({&config, one, prepare(one, texts[i], own, how.preparing)});
    parts.push_back({config.name, make_model(one.model, sizes_of(texts[i]))});
    validated += tasks.back().data.validation != nullptr;
    if (how.observer.note)
      how.observer.note(format("task {}: {} training examples", config.name, tasks.back().data.train->examples()));
  }
  if (validated != 0 && validated != tasks.size())
    throw Error("{} of {} tasks have validation data; give all of them some, or none", validated, tasks.size());
  if (!how.resume) {
    std::filesystem::remove_all(folder / "checkpoint");
    std::filesystem::remove(folder / "model.safetensors");
    for (const TaskData& task : tasks)
      write_model_folder(folder / "tasks" / task.config->name, task.recipe, task.data.text);
    write_tasks_folder(folder, recipe);
  }
  TaskModels models(std::move(parts));
  TrainingRun run = run_of(recipe, models, texts.front(), how);
  for (std::size_t i = 0; i < tasks.size(); ++i) {
    const auto& [config, one, data] = tasks[i];
    run.tasks.push_back({config->name, data.text.task, models.parts()[i].model.get(), data.train.get(),
                         data.class_weights, config->weight});
    run.data_fingerprint += data.fingerprint + " ";
  }
  if (validated > 0)
    run.validate = [&](Arena& arena, Precision precision) {
      return validate_tasks(tasks, models, arena, *how.pool, precision);
    };
  return train(run);
}

}  // namespace heed
