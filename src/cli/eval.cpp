#include <unistd.h>

#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/clock.h"
#include "cli/commands.h"
#include "cli/terminal.h"
#include "formats/file.h"
#include "formats/utf8.h"
#include "tasks/calibration.h"
#include "tasks/classification_metrics.h"
#include "tasks/evaluate.h"
#include "tasks/language_model_metrics.h"
#include "train/measure_answers.h"
#include "train/model_folder.h"
#include "train/prepare.h"
#include "train/trainer.h"

namespace heed::cli {

namespace {

struct EvalOptions {
  std::string model, format, answers, by, task;
  std::vector<std::string> data, target, overrides;
  std::int64_t beams = 0;
  bool verify = false, calibrate = false;
};

/// The store of an evaluation lives as long as the evaluation: beside nothing of the user's.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "heed-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr)
      throw Error("{}: a temporary folder cannot be made there", std::filesystem::temp_directory_path().string());
    path_ = name;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

std::vector<std::filesystem::path> as_paths(const std::vector<std::string>& names) {
  return {names.begin(), names.end()};
}

void measure_answers_of(const Evaluation& with, const Recipe& recipe, const DataFiles& files, bool kept_apart,
                        const EvalOptions& options, Measures& measures) {
  std::vector<std::string> found;
  ProgressBar bar;
  AnswerMeasuring how{.generation = recipe.generation, .thorough = true, .answers = &found};
  if (options.beams > 0) how.generation.beams = options.beams;
  how.progress = [&](std::size_t done, std::size_t total) {
    bar.show(static_cast<double>(done) / static_cast<double>(total), format("answering, {} of {}", done, total));
  };
  const double start = now();
  measures.merge(kept_apart ? measure_articles(with, recipe, DataPart::test, how)
                            : measure_answers(with, recipe, files, how));
  bar.finish();
  if (makes_text_from_text(with.text.task)) measures["beams"] = static_cast<double>(how.generation.beams);
  const bool questions = with.text.task == Task::question_answering;
  measures[questions ? "questions_per_second" : "sentences_per_second"] =
      static_cast<double>(found.size()) / (now() - start);
  if (!options.answers.empty())
    write_file_atomically(options.answers, [&](Writer& writer) {
      for (const std::string& line : found) writer.write(line + "\n");
    });
}

/// Bits a character of a text: the loss of all its tokens over the characters of its files, line ends counted.
void add_bits_per_character(const Recipe& recipe, const DataFiles& files, const Batches& batches, Measures& measures) {
  ExampleReader reader(recipe.data, Task::language_modelling, files);
  LanguageModelLoss loss;
  for (TextExample example; reader.next(example);) loss.characters += utf8_length(example.source) + example.line_ends;
  loss.tokens = batches.tokens_in_epoch();
  loss.nats = measures.at("loss") * static_cast<double>(loss.tokens);
  measures["bits_per_character"] = loss.bits_per_character();
}

nlohmann::ordered_json as_json(const ConfusionMatrix& matrix, const std::vector<std::string>& names) {
  nlohmann::ordered_json rows;
  for (int truth = 0; truth < matrix.classes(); ++truth)
    for (int predicted = 0; predicted < matrix.classes(); ++predicted)
      rows[names[static_cast<std::size_t>(truth)]][names[static_cast<std::size_t>(predicted)]] =
          matrix.at(truth, predicted);
  return rows;
}

nlohmann::ordered_json as_json(const ClassificationScores& scores, const std::vector<std::string>& names) {
  nlohmann::ordered_json classes;
  for (std::size_t c = 0; c < names.size(); ++c)
    classes[names[c]] = {{"precision", scores.classes[c].precision},
                         {"recall", scores.classes[c].recall},
                         {"f1", scores.classes[c].f1},
                         {"examples", scores.classes[c].support}};
  return {{"accuracy", scores.accuracy},
          {"micro_f1", scores.micro.f1},
          {"macro_f1", scores.macro.f1},
          {"macro_recall", scores.macro.recall},
          {"classes", classes}};
}

/// The values of a column for the examples in the store's order.
std::vector<std::string> values_of(const Recipe& recipe, const DataFiles& files, const std::string& column,
                                   const ClassPredictions& found) {
  ExampleReader reader(recipe.data, Task::classification, files, column);
  std::vector<std::string> all, values;
  for (TextExample example; reader.next(example);) all.push_back(example.value);
  if (all.size() != found.examples.size())
    throw Error("--by {}: {} examples were read and {} evaluated; with data.too_long = \"cut\" none is passed over",
                column, all.size(), found.examples.size());
  for (const std::int64_t example : found.examples) values.push_back(all[static_cast<std::size_t>(example)]);
  return values;
}

void print_scores(const std::string& title, const ClassificationScores& scores, const std::vector<std::string>& names) {
  const auto percent = [](double share) { return fixed(100.0 * share, 2); };
  std::printf("\n%s\n%-21s %9s %9s %9s %9s\n", title.c_str(), "class", "precision", "recall", "F1", "examples");
  for (std::size_t c = 0; c < names.size(); ++c)
    std::printf("%-21s %9s %9s %9s %9s\n", names[c].c_str(), percent(scores.classes[c].precision).c_str(),
                percent(scores.classes[c].recall).c_str(), percent(scores.classes[c].f1).c_str(),
                with_thousands(scores.classes[c].support).c_str());
  std::printf("%-21s %9s %9s %9s   accuracy %s\n", "macro", percent(scores.macro.precision).c_str(),
              percent(scores.macro.recall).c_str(), percent(scores.macro.f1).c_str(), percent(scores.accuracy).c_str());
}

void print_matrix(const ConfusionMatrix& matrix, const std::vector<std::string>& names) {
  std::printf("\nconfusion: a row is the true class, a column the answer\n%-21s", "");
  for (const std::string& name : names) std::printf(" %12s", name.c_str());
  for (int truth = 0; truth < matrix.classes(); ++truth) {
    std::printf("\n%-21s", names[static_cast<std::size_t>(truth)].c_str());
    for (int predicted = 0; predicted < matrix.classes(); ++predicted)
      std::printf(" %12s", with_thousands(matrix.at(truth, predicted)).c_str());
  }
  std::printf("\n");
}

/// Scores of each class, the confusion matrix, and both by the values of a column, into `result` or onto the terminal.
void report_classes(const ClassPredictions& found, const std::vector<std::string>& names,
                    const std::vector<std::string>& values, const std::string& column, nlohmann::ordered_json* result) {
  const int classes = static_cast<int>(names.size());
  const ConfusionMatrix matrix = confusion_matrix(found.truth, found.predicted, classes);
  std::vector<ClassificationSlice> slices;
  if (!values.empty()) slices = classification_slices(found.truth, found.predicted, values, classes);
  if (!result) {
    print_scores("all", classification_scores(matrix), names);
    if (classes <= 20) print_matrix(matrix, names);
    for (const ClassificationSlice& slice : slices) print_scores(column + " = " + slice.value, slice.scores, names);
    return;
  }
  (*result)["classes"] = as_json(classification_scores(matrix), names)["classes"];
  (*result)["confusion"] = as_json(matrix, names);
  for (const ClassificationSlice& slice : slices) {
    nlohmann::ordered_json one = as_json(slice.scores, names);
    one["confusion"] = as_json(slice.matrix, names);
    (*result)["by"][column][slice.value] = one;
  }
}

/// Measures one model: onto the terminal, or with --json into what is returned.
nlohmann::ordered_json measure(const std::filesystem::path& path, const EvalOptions& options, const Common& common) {
  ModelFolder folder = load_model_folder(path, options.verify);
  Recipe& recipe = folder.recipe;
  if (!options.format.empty()) recipe.data.format = options.format;
  DataFiles files = data_files(recipe.data, DataPart::test, "");
  if (!options.data.empty()) files = {as_paths(options.data), as_paths(options.target)};
  const bool kept_apart = files.source.empty() && recipe.data.test_split > 0;
  if (kept_apart) files = data_files(recipe.data, DataPart::train, "");
  if (files.source.empty())
    throw Error("nothing to evaluate on: give --data FILE (the model's recipe names no test files)");
  ThreadPool pool(common.threads);
  Arena arena;
  const Task task = folder.text.task;
  if ((options.calibrate || !options.by.empty()) && task != Task::classification)
    throw Error("--calibrate and --by are for classification, and this model is for {}", text_of(task));
  const Evaluation with{*folder.model, folder.text, arena, pool, precision_of(recipe.training), folder.temperature};
  const TemporaryFolder temporary;
  const auto batches =
      evaluation_batches(recipe, folder.text, files, temporary.path() / "evaluation.tokens", kept_apart);
  ProgressBar bar;
  ClassPredictions predictions;
  Measures measures = evaluate(
      with, *batches,
      [&](std::int64_t done, std::int64_t total) {
        bar.show(static_cast<double>(done) / static_cast<double>(total), format("batch {} of {}", done, total));
      },
      task == Task::classification ? &predictions : nullptr);
  bar.finish();
  std::vector<std::string> values;
  if (task == Task::classification) {
    if (!options.by.empty()) values = values_of(recipe, files, options.by, predictions);
    const auto classes = static_cast<std::int64_t>(folder.text.labels.names().size());
    double temperature = folder.temperature;
    if (options.calibrate) {
      measures["calibration_error_before"] =
          calibration_error(predictions.logits, predictions.truth, classes, temperature);
      temperature = fitted_temperature(predictions.logits, predictions.truth, classes);
      write_temperature(path, temperature);
      measures["temperature"] = temperature;
    }
    measures["calibration_error"] = calibration_error(predictions.logits, predictions.truth, classes, temperature);
  } else if (task == Task::language_modelling) {
    add_bits_per_character(recipe, files, *batches, measures);
  } else {
    measure_answers_of(with, recipe, files, kept_apart, options, measures);
  }
  const std::vector<std::string>& names = folder.text.labels.names();
  nlohmann::ordered_json result(measures);
  if (common.json) {
    if (task == Task::classification) report_classes(predictions, names, values, options.by, &result);
  } else {
    for (const auto& [name, value] : measures) {
      const bool share = name == "accuracy" || name.starts_with("macro") || name.starts_with("micro");
      const bool precise = name == "loss" || name.starts_with("calibration");
      std::printf("%-21s %s\n", name.c_str(),
                  share ? (fixed(100.0 * value, 2) + " %").c_str()
                        : fixed(value, precise           ? 4
                                       : name == "beams" ? 0
                                                         : 2)
                              .c_str());
    }
    if (task == Task::classification) report_classes(predictions, names, values, options.by, nullptr);
  }
  return result;
}

}  // namespace

void add_eval(CLI::App& app, Common& common, int& exit_code) {
  auto options = std::make_shared<EvalOptions>();
  CLI::App* verb = app.add_subcommand(
      "eval", "Measure a model on data: loss and perplexity, accuracy and F1, BLEU, chrF and TER, ROUGE, exact match");
  verb->add_option("MODEL", options->model, "a model folder")->required();
  verb->add_option("--task", options->task, "of a model of several tasks: the one to measure; by default all");
  verb->add_option("--data", options->data,
                   "files in the format of the model's recipe; without it the recipe's test files, or the articles "
                   "kept apart for testing");
  verb->add_option("--target", options->target,
                   "translation, summarisation: the references, line by line with --data; classification: the labels");
  verb->add_option("--format", options->format,
                   "the files' format if it is not the recipe's: lines, label-lines, tsv, csv, jsonl, squad");
  verb->add_option("--beams", options->beams,
                   "translation, summarisation: hypotheses of the beam search; by default the recipe's");
  verb->add_option("--answers", options->answers,
                   "translation, summarisation, question answering: write the answers to this file");
  verb->add_option("--by", options->by,
                   "classification: the same scores for each value of this column, to see where the model is worse");
  verb->add_flag("--calibrate", options->calibrate,
                 "classification: fit the temperature of the probabilities on these data (not the training's) and keep "
                 "it in the model folder");
  verb->add_flag("--verify", options->verify, "check every tensor's checksum first");
  verb->add_option("--threads", common.threads, "threads; by default the processors this process may use")
      ->check(CLI::NonNegativeNumber);
  verb->add_flag("--json", common.json, "one JSON object");
  verb->callback([options, &common, &exit_code] {
    std::vector<std::string> tasks;
    if (options->task.empty()) tasks = tasks_in(options->model);
    if (!tasks.empty() && !options->data.empty())
      throw Error("{}: a model of several tasks; say by --task what the data are for", options->model);
    nlohmann::ordered_json result;
    for (const std::string& task : tasks) {
      if (!common.json) std::printf("%stask %s\n", task == tasks.front() ? "" : "\n", task.c_str());
      result[task] = measure(task_folder(options->model, task), *options, common);
    }
    if (tasks.empty()) result = measure(task_folder(options->model, options->task), *options, common);
    if (common.json) std::printf("%s\n", result.dump().c_str());
    exit_code = 0;
  });
}

}  // namespace heed::cli
