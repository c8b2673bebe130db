#include "cli/training.h"

#include "base/memory.h"
#include "cli/terminal.h"
#include "train/checkpoint.h"
#include "train/prepare.h"

namespace heed::cli {

namespace {

std::string in_words(const Measures& measures) {
  std::string text;
  for (const auto& [name, value] : measures) {
    const bool share = name == "accuracy" || name.starts_with("macro");
    text += (text.empty() ? "" : "  ") + name + " " + (share ? fixed(100.0 * value, 2) + " %" : fixed(value, name == "loss" ? 4 : 2));
  }
  return text;
}

/// Weights of another model where name and shape agree.
void start_from(Model& model, const std::string& folder) {
  const SafetensorsReader reader(std::filesystem::path(folder) / "model.safetensors");
  std::size_t taken = 0, all = 0;
  for (auto& [name, weight] : model.weights()) {
    ++all;
    if (!reader.has(name) || reader.entry(name).shape != weight.shape()) continue;
    weight.set(reader.tensor(name).to(DType::float32));
    ++taken;
  }
  if (taken == 0) throw Error("training.start_from: no weight of {} has a name and shape of this model", folder);
  say(format("{} of {} weights start from {}", taken, all, folder));
}

/// Validation by loss, and by translating where the best checkpoint is chosen so.
Measures validate(const Recipe& recipe, const PreparedData& data, const Evaluation& with) {
  Measures measures = evaluate(with, *data.validation);
  if (recipe.training.best_by == "bleu") {
    ExampleReader reader(recipe.data, data.text.task, data_files(recipe.data, DataPart::validation, ""));
    std::vector<std::string> sources, references;
    TextExample example;
    while (reader.next(example) && (recipe.training.validate_examples == 0 || static_cast<std::int64_t>(sources.size()) < recipe.training.validate_examples)) {
      sources.push_back(example.source);
      references.push_back(example.target);
    }
    GenerationConfig greedy = recipe.generation;
    greedy.beams = 1;
    measures.merge(evaluate_translation(with, sources, references, greedy));
  }
  return measures;
}

void check_memory(Model& model, const Recipe& recipe) {
  const std::int64_t batch = recipe.batch.tokens > 0 ? recipe.batch.tokens
                                                     : recipe.batch.sequences * (recipe.batch.context > 0 ? recipe.batch.context : recipe.model.context);
  const std::int64_t needed = estimated_memory(model, recipe, batch), there = available_memory();
  if (needed > there)
    throw Error("a training step is expected to need {}, {} are free: lower batch.tokens or batch.sequences (and raise "
                "batch.accumulate), or make the model smaller", as_bytes(static_cast<double>(needed)), as_bytes(static_cast<double>(there)));
}

}  // namespace

TrainingResult train_recipe(const Recipe& recipe, const std::filesystem::path& folder, const Common& common, bool resume) {
  catch_signals();
  ThreadPool pool(common.threads);
  ProgressBar bar;
  auto preparing = [&](const std::string& what, double share) { bar.show(share, "reading " + what); };
  TextEncoder text = resume ? load_model_description(folder).text : make_text_encoder(recipe, preparing);
  std::filesystem::create_directories(folder);
  const PreparedData data = prepare(recipe, std::move(text), folder, preparing);
  bar.finish();
  if (!resume) {
    std::filesystem::remove_all(folder / "checkpoint");
    std::filesystem::remove(folder / "model.safetensors");
    write_model_folder(folder, recipe, data.text);
  }
  const std::unique_ptr<Model> model = make_model(recipe.model, sizes_of(data.text));
  check_memory(*model, recipe);
  model->initialise(RandomKey{recipe.training.seed});
  if (!recipe.training.start_from.empty()) start_from(*model, recipe.training.start_from);

  const Precision precision = precision_of(recipe.training);
  say(format("{} parameters, {} training {}, {}{}, {} threads", with_thousands(model->parameters()), with_thousands(data.train->examples()),
             data.train_store->stream() ? "windows" : "examples", precision == Precision::bfloat16 ? "bfloat16" : "float32",
             data.validation ? format(", {} for validation", with_thousands(data.validation->examples())) : "", pool.threads()));

  TrainingRun run;
  run.recipe = &recipe;
  run.folder = folder;
  run.model = model.get();
  run.batches = data.train.get();
  run.data_fingerprint = data.fingerprint;
  run.pool = &pool;
  run.stop = &stop_requested();
  run.resume = resume;
  if (data.validation)
    run.validate = [&](Arena& arena, Precision how) { return validate(recipe, data, {*model, data.text, arena, pool, how}); };
  run.observer.step = [&](const StepReport& report) {
    bar.show(report.done, format("step {}  epoch {}  loss {}  {} tokens/s  {} left", with_thousands(report.step), fixed(report.epoch, 2), fixed(report.loss, 3),
                                 with_thousands(static_cast<std::int64_t>(report.tokens_per_second)), as_time(report.seconds_left)));
  };
  run.observer.validated = [&](std::int64_t step, const Measures& measures, bool best) {
    bar.note(format("step {}  validation {}{}", with_thousands(step), in_words(measures), best ? green("  best") : ""));
  };
  run.observer.note = [&](const std::string& line) { bar.note(line); };
  const TrainingResult result = train(run);
  bar.finish();
  return result;
}

}  // namespace heed::cli
