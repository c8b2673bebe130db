#include "experiments/cross_validation.h"

#include <heed/error.h>

#include <algorithm>
#include <exception>
#include <fstream>
#include <iterator>
#include <mutex>
#include <nlohmann/json.hpp>
#include <thread>

#include "experiments/fold_data.h"
#include "formats/file.h"
#include "train/measure_answers.h"
#include "train/model_folder.h"
#include "train/train_folder.h"

namespace heed {

namespace {

namespace fs = std::filesystem;
using nlohmann::json;

std::string text_of_file(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

json description_of(const Recipe& recipe, const CrossValidation& how) {
  return {{"folds", how.folds},
          {"stratified", how.stratified},
          {"group", how.group},
          {"seed", how.seed},
          {"recipe", write_recipe(recipe)}};
}

/// What fold N left behind when it was finished; nothing if it is not.
bool read_result(const fs::path& file, FoldResult& result) {
  if (!fs::exists(file)) return false;
  try {
    const json found = json::parse(text_of_file(file));
    result.examples = found.at("examples").get<std::int64_t>();
    result.steps = found.at("steps").get<std::int64_t>();
    result.seconds = found.at("seconds").get<double>();
    result.reason = found.at("ended_by").get<std::string>();
    result.measures = found.at("measures").get<Measures>();
  } catch (const json::exception&) {
    throw Error("{}: not the result of a fold: the file is altered; remove it, and the fold is trained again",
                file.string());
  }
  return true;
}

void write_result(const fs::path& file, const FoldResult& result) {
  const json text{{"fold", result.fold},        {"name", result.name},       {"examples", result.examples},
                  {"steps", result.steps},      {"seconds", result.seconds}, {"ended_by", result.reason},
                  {"measures", result.measures}};
  write_file_atomically(file, [&](Writer& writer) { writer.write(text.dump(2) + "\n"); });
}

/// The model that the training kept, measured on the fold that it never saw.
void measure(const Recipe& recipe, const fs::path& folder, ThreadPool& pool, FoldResult& result) {
  const ModelFolder trained = load_model_folder(folder);
  Arena arena;
  const Evaluation with{*trained.model, trained.text, arena, pool, precision_of(recipe.training)};
  const DataFiles files = data_files(recipe.data, DataPart::test, "");
  const auto batches = evaluation_batches(recipe, trained.text, files, folder / "data" / "test.tokens");
  result.examples = batches->examples();
  result.measures = evaluate(with, *batches);
  result.measures.merge(measure_answers(with, recipe, files, {.generation = recipe.generation}));
}

class Folds {
 public:
  Folds(std::vector<FoldRecipe> recipes, const CrossValidationRun& run)
      : recipes_(std::move(recipes)), run_(run), results_(recipes_.size()), done_(recipes_.size(), false) {}

  CrossValidationReport operator()() {
    const int all = run_.threads > 0 ? run_.threads : available_processors();
    const int workers = std::clamp(run_.parallel, 1, static_cast<int>(recipes_.size()));
    std::vector<std::thread> threads;
    for (int worker = 1; worker < workers; ++worker) threads.emplace_back([&] { work(std::max(1, all / workers)); });
    work(std::max(1, all / workers));
    for (std::thread& thread : threads) thread.join();
    if (error_) std::rethrow_exception(error_);
    return report();
  }

 private:
  bool stopped() const { return failed_ || (run_.stop && *run_.stop); }

  void work(int threads) {
    try {
      ThreadPool pool(threads);
      for (std::size_t fold; !stopped() && (fold = next_++) < recipes_.size();) train_fold(fold, pool);
    } catch (...) {
      const std::lock_guard lock(mutex_);
      if (!error_) error_ = std::current_exception();
      failed_ = true;
    }
  }

  void train_fold(std::size_t fold, ThreadPool& pool) {
    const Recipe& recipe = recipes_[fold].recipe;
    const fs::path folder = run_.folder / format("fold-{}", fold + 1);
    const int number = static_cast<int>(fold) + 1;
    FoldResult& result = results_[fold];
    result.fold = number;
    result.name = recipes_[fold].name;
    if (!read_result(folder / "result.json", result)) {
      // A training stops at this alone, so that the failure of another fold ends it as a signal does.
      std::atomic<bool> stop = false;
      FolderTraining how{.folder = folder, .pool = &pool, .stop = &stop, .resume = has_checkpoint(folder)};
      how.preparing = [&](const std::string& what, double) {
        if (run_.progress) run_.progress(number, 0.0, "reading " + what);
      };
      how.observer.step = [&](const StepReport& report) {
        stop = stopped();
        if (run_.progress) run_.progress(number, report.done, format("step {}", report.step));
      };
      const TrainingResult trained = train_folder(recipe, how);
      if (trained.reason == "interrupted") return;
      result.steps = trained.progress.step;
      result.seconds = trained.progress.seconds;
      result.reason = trained.reason;
      measure(recipe, folder, pool, result);
      write_result(folder / "result.json", result);
      fs::remove_all(folder / "checkpoint");
      fs::remove_all(folder / "data");
    }
    const std::lock_guard lock(mutex_);
    done_[fold] = true;
    if (run_.finished) run_.finished(result);
  }

  CrossValidationReport report() const {
    CrossValidationReport report;
    for (std::size_t fold = 0; fold < results_.size(); ++fold)
      if (done_[fold]) report.folds.push_back(results_[fold]);
    report.interrupted = report.folds.size() < results_.size();
    if (report.interrupted) return report;
    for (const auto& [name, first] : report.folds.front().measures) {
      std::vector<double> values;
      for (const FoldResult& fold : report.folds)
        if (const auto found = fold.measures.find(name); found != fold.measures.end()) values.push_back(found->second);
      report.measures[name] = mean_interval(values);
    }
    return report;
  }

  std::vector<FoldRecipe> recipes_;
  const CrossValidationRun& run_;
  std::vector<FoldResult> results_;
  std::vector<char> done_;
  std::atomic<std::size_t> next_ = 0;
  std::atomic<bool> failed_ = false;
  std::mutex mutex_;
  std::exception_ptr error_;
};

}  // namespace

CrossValidationReport cross_validate(const Recipe& recipe, const CrossValidation& how, const CrossValidationRun& run) {
  check(recipe);
  const fs::path description = run.folder / "crossval.json";
  const json wanted = description_of(recipe, how);
  std::vector<FoldRecipe> recipes;
  if (fs::exists(description)) {
    if (!run.resume)
      throw Error("{}: holds a cross-validation already; go on with --resume, or give --replace or another --out",
                  run.folder.string());
    if (json::parse(text_of_file(description), nullptr, false) != wanted)
      throw Error(
          "{}: holds a cross-validation of another recipe or other folds; resume with the same, or give --replace or "
          "another --out",
          run.folder.string());
    recipes = existing_fold_recipes(recipe, how, run.folder);
  } else {
    recipes = make_fold_recipes(recipe, how, run.folder);
    for (const FoldRecipe& fold : recipes) check(fold.recipe);
    fs::create_directories(run.folder);
    // Written last: whoever finds it finds all parts.
    write_file_atomically(description, [&](Writer& writer) { writer.write(wanted.dump(2) + "\n"); });
  }
  return Folds(std::move(recipes), run)();
}

}  // namespace heed
