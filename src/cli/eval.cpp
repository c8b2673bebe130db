#include <unistd.h>

#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/clock.h"
#include "cli/commands.h"
#include "cli/terminal.h"
#include "formats/file.h"
#include "tasks/evaluate.h"
#include "tasks/ter.h"
#include "train/prepare.h"
#include "train/model_folder.h"
#include "train/trainer.h"

namespace heed::cli {

namespace {

struct Options {
  std::string model, format, answers;
  std::vector<std::string> data, target, overrides;
  std::int64_t beams = 0;
  bool verify = false;
};

/// The store of an evaluation lives as long as the evaluation: beside nothing of the user's.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "heed-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) throw Error("{}: a temporary folder cannot be made there", std::filesystem::temp_directory_path().string());
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

std::vector<std::filesystem::path> as_paths(const std::vector<std::string>& names) { return {names.begin(), names.end()}; }

void measure_translation(const Evaluation& with, const Recipe& recipe, const DataFiles& files, const Options& options, Measures& measures) {
  ExampleReader reader(recipe.data, Task::translation, files);
  std::vector<std::string> sources, references, found;
  TextExample example;
  while (reader.next(example)) {
    sources.push_back(example.source);
    references.push_back(example.target);
  }
  GenerationConfig generation = recipe.generation;
  if (options.beams > 0) generation.beams = options.beams;
  ProgressBar bar;
  const double start = now();
  measures.merge(evaluate_translation(with, sources, references, generation, &found, [&](std::size_t done, std::size_t total) {
    bar.show(static_cast<double>(done) / static_cast<double>(total), format("translating, {} of {}", done, total));
  }));
  bar.finish();
  measures["ter"] = corpus_ter(found, {references});
  measures["beams"] = static_cast<double>(generation.beams);
  measures["sentences_per_second"] = static_cast<double>(sources.size()) / (now() - start);
  if (!options.answers.empty())
    write_file_atomically(options.answers, [&](Writer& writer) {
      for (const std::string& line : found) writer.write(line + "\n");
    });
}

}  // namespace

void add_eval(CLI::App& app, Common& common, int& exit_code) {
  auto options = std::make_shared<Options>();
  CLI::App* verb = app.add_subcommand("eval", "Measure a model on data: loss and perplexity, accuracy and F1, BLEU, chrF and TER");
  verb->add_option("MODEL", options->model, "a model folder")->required();
  verb->add_option("--data", options->data, "files in the format of the model's recipe; without it the recipe's test files");
  verb->add_option("--target", options->target, "translation: the references, line by line with --data");
  verb->add_option("--format", options->format, "the files' format if it is not the recipe's: lines, label-lines, tsv, csv, jsonl");
  verb->add_option("--beams", options->beams, "translation: hypotheses of the beam search; by default the recipe's");
  verb->add_option("--answers", options->answers, "translation: write the answers to this file");
  verb->add_flag("--verify", options->verify, "check every tensor's checksum first");
  verb->add_option("--threads", common.threads, "threads; by default the processors this process may use")->check(CLI::NonNegativeNumber);
  verb->add_flag("--json", common.json, "one JSON object");
  verb->callback([options, &common, &exit_code] {
    ModelFolder folder = load_model_folder(options->model, options->verify);
    Recipe& recipe = folder.recipe;
    if (!options->format.empty()) recipe.data.format = options->format;
    DataFiles files = data_files(recipe.data, DataPart::test, "");
    if (!options->data.empty()) files = {as_paths(options->data), as_paths(options->target)};
    if (files.source.empty()) throw Error("nothing to evaluate on: give --data FILE (the model's recipe names no test files)");
    ThreadPool pool(common.threads);
    Arena arena;
    const Evaluation with{*folder.model, folder.text, arena, pool, precision_of(recipe.training)};
    const TemporaryFolder temporary;
    const auto batches = evaluation_batches(recipe, folder.text, files, temporary.path() / "evaluation.tokens");
    ProgressBar bar;
    Measures measures = evaluate(with, *batches, [&](std::int64_t done, std::int64_t total) {
      bar.show(static_cast<double>(done) / static_cast<double>(total), format("batch {} of {}", done, total));
    });
    bar.finish();
    if (folder.text.task == Task::translation) measure_translation(with, recipe, files, *options, measures);
    if (common.json) {
      std::printf("%s\n", nlohmann::ordered_json(measures).dump().c_str());
    } else {
      for (const auto& [name, value] : measures) {
        const bool share = name == "accuracy" || name.starts_with("macro");
        std::printf("%-21s %s\n", name.c_str(), share ? (fixed(100.0 * value, 2) + " %").c_str() : fixed(value, name == "loss" ? 4 : name == "beams" ? 0 : 2).c_str());
      }
    }
    exit_code = 0;
  });
}

}  // namespace heed::cli
