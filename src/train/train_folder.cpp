#include "train/train_folder.h"

#include <heed/error.h>

#include <cmath>

#include "base/memory.h"
#include "train/checkpoint.h"
#include "train/measure_answers.h"
#include "train/model_folder.h"
#include "train/train_tasks.h"
#include "train/vector_start.h"

namespace heed {

namespace {

std::string in_gigabytes(std::int64_t bytes) {
  const std::int64_t tenths = bytes / 100'000'000;
  return format("{}.{} GB", tenths / 10, tenths % 10);
}

/// Weights of another model where name and shape agree.
void start_from(Model& model, const std::string& folder, const std::function<void(const std::string&)>& note) {
  const SafetensorsReader reader(std::filesystem::path(folder) / "model.safetensors");
  std::size_t taken = 0, all = 0;
  for (auto& [name, weight] : model.weights()) {
    ++all;
    if (!reader.has(name) || reader.entry(name).shape != weight.shape()) continue;
    weight.set(reader.tensor(name).to(DType::float32));
    ++taken;
  }
  if (taken == 0) throw Error("training.start_from: no weight of {} has a name and shape of this model", folder);
  if (note) note(format("{} of {} weights start from {}", taken, all, folder));
}

/// Throws Error when none of the weights that another model is to give has a name and shape of this one.
void take_start(Model& model, const Recipe& recipe, const TextEncoder& text, bool goes_on,
                const std::function<void(const std::string&)>& note) {
  if (!recipe.vocabulary.vectors.empty() && !goes_on) {
    const VectorStart vectors = start_from_vectors(model, recipe, text);
    if (note)
      note(format("{} of {} words start from {}; {} % have no vector there", vectors.known, vectors.words,
                  recipe.vocabulary.vectors, std::round(1000.0 * vectors.unknown_rate()) / 10.0));
  }
  if (!recipe.training.start_from.empty()) start_from(model, recipe.training.start_from, note);
}

void check_memory(Model& model, const Recipe& recipe) {
  const std::int64_t context = recipe.batch.context > 0 ? recipe.batch.context : recipe.model.context;
  const std::int64_t batch = recipe.batch.tokens > 0 ? recipe.batch.tokens : recipe.batch.sequences * context;
  const std::int64_t needed = estimated_memory(model, recipe, batch), there = available_memory();
  if (needed > there)
    throw Error(
        "a training step is expected to need {}, {} are free: lower batch.tokens or batch.sequences (and raise "
        "batch.accumulate), or make the model smaller",
        in_gigabytes(needed), in_gigabytes(there));
}

}  // namespace

bool has_checkpoint(const std::filesystem::path& folder) { return std::filesystem::exists(checkpoint_file(folder)); }

TrainingRun run_of(const Recipe& recipe, Model& model, const TextEncoder& text, const FolderTraining& how) {
  check_memory(model, recipe);
  model.initialise(RandomKey{recipe.training.seed});
  take_start(model, recipe, text, how.resume && has_checkpoint(how.folder), how.observer.note);
  TrainingRun run;
  run.recipe = &recipe;
  run.folder = how.folder;
  run.model = &model;
  run.pool = how.pool;
  run.stop = how.stop;
  run.pause = how.pause;
  run.resume = how.resume;
  run.observer = how.observer;
  return run;
}

Measures validate(const Recipe& recipe, const PreparedData& data, const Evaluation& with) {
  Measures measures = evaluate(with, *data.validation);
  const std::string& best_by = recipe.training.best_by;
  if (best_by == "bleu" || best_by == "rouge_l" || best_by == "f1") {
    AnswerMeasuring greedy{.generation = recipe.generation, .most = recipe.training.validate_examples};
    greedy.generation.beams = 1;
    measures.merge(measure_validation_answers(with, recipe, greedy));
  }
  return measures;
}

TrainingResult train_folder(const Recipe& recipe, const FolderTraining& how) {
  if (!recipe.tasks.empty()) return train_tasks(recipe, how);
  const std::filesystem::path& folder = how.folder;
  TextEncoder text = how.text     ? *how.text
                     : how.resume ? load_model_description(folder).text
                                  : make_text_encoder(recipe, how.preparing);
  std::filesystem::create_directories(folder);
  const PreparedData data =
      prepare(recipe, std::move(text), how.data_folder.empty() ? folder : how.data_folder, how.preparing);
  if (!how.resume) {
    std::filesystem::remove_all(folder / "checkpoint");
    std::filesystem::remove(folder / "model.safetensors");
    write_model_folder(folder, recipe, data.text);
  }
  const std::unique_ptr<Model> model = make_model(recipe.model, sizes_of(data.text));
  TrainingRun run = run_of(recipe, *model, data.text, how);
  const TrainingStart start{recipe, data, *model, *how.pool, precision_of(recipe.training)};
  if (how.starting) how.starting(start);
  run.tasks = {{"", data.text.task, model.get(), data.train.get(), data.class_weights, 1.0}};
  run.data_fingerprint = data.fingerprint;
  if (data.validation)
    run.validate = [&](Arena& arena, Precision precision) {
      return validate(recipe, data, {*model, data.text, arena, *how.pool, precision});
    };
  TrainingResult result = train(run);
  if (how.ended && result.reason != "interrupted") how.ended(start);
  return result;
}

}  // namespace heed
