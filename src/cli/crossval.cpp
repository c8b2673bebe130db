#include <charconv>
#include <cstdio>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cli/terminal.h"
#include "experiments/cross_validation.h"
#include "experiments/search_summary.h"

namespace heed::cli {

namespace {

struct CrossvalOptions {
  std::string recipe, out, folds, group;
  std::vector<std::string> overrides;
  std::uint64_t seed = 1;
  int parallel = 1;
  bool plain = false, resume = false, replace = false;
};

int folds_of(const std::string& text) {
  if (text == "files") return 0;
  int folds = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), folds);
  if (failed != std::errc() || end != text.data() + text.size() || folds < 2)
    throw Error("--folds {}: expected a number of 2 or more, or \"files\" (each training file of the recipe is a fold)",
                text);
  return folds;
}

std::string shown(const std::string& name, double value) {
  return is_share(name) ? fixed(100.0 * value, 2) + " %" : fixed(value, name == "loss" ? 4 : 2);
}

void print_json(const CrossValidationReport& report) {
  nlohmann::ordered_json json{{"folds", nlohmann::ordered_json::array()},
                              {"measures", nlohmann::ordered_json::object()}};
  for (const FoldResult& fold : report.folds)
    json["folds"].push_back({{"fold", fold.fold},
                             {"name", fold.name},
                             {"examples", fold.examples},
                             {"steps", fold.steps},
                             {"seconds", fold.seconds},
                             {"measures", fold.measures}});
  for (const auto& [name, found] : report.measures)
    json["measures"][name] = {{"mean", found.mean},
                              {"deviation", found.deviation},
                              {"low", found.mean - found.half_width},
                              {"high", found.mean + found.half_width},
                              {"confidence", 0.95},
                              {"folds", found.count}};
  std::printf("%s\n", json.dump().c_str());
}

void print_table(const CrossValidationReport& report) {
  std::size_t width = 21;
  for (const FoldResult& fold : report.folds) width = std::max(width, fold.name.size());
  const int column = static_cast<int>(width);
  std::printf("%-*s  %8s", column, "tested on", "examples");
  for (const auto& [name, found] : report.measures) std::printf("  %12s", name.c_str());
  std::printf("\n");
  for (const FoldResult& fold : report.folds) {
    std::printf("%-*s  %8s", column, fold.name.c_str(), with_thousands(fold.examples).c_str());
    for (const auto& [name, value] : fold.measures) std::printf("  %12s", shown(name, value).c_str());
    std::printf("\n");
  }
  const auto row = [&](const char* title, auto&& value) {
    std::printf("%-*s  %8s", column, title, "");
    for (const auto& [name, found] : report.measures) std::printf("  %12s", shown(name, value(found)).c_str());
    std::printf("\n");
  };
  row("mean", [](const MeanInterval& found) { return found.mean; });
  row("standard deviation", [](const MeanInterval& found) { return found.deviation; });
  row("95 % interval, from", [](const MeanInterval& found) { return found.mean - found.half_width; });
  row("95 % interval, to", [](const MeanInterval& found) { return found.mean + found.half_width; });
}

int cross_validate_recipe(const CrossvalOptions& options, const Common& common) {
  const std::filesystem::path given = options.recipe;
  Recipe recipe = read_recipe(given);
  resolve_paths(recipe, given.parent_path());
  recipe = parse_recipe(write_recipe(recipe), given.string(), options.overrides);
  resolve_paths(recipe, std::filesystem::current_path());
  const CrossValidation how{folds_of(options.folds), !options.plain, options.group, options.seed};
  CrossValidationRun run{.folder = options.out.empty() ? "crossval" / given.stem() : std::filesystem::path(options.out),
                         .parallel = options.parallel,
                         .threads = common.threads,
                         .stop = &stop_requested(),
                         .resume = options.resume};
  if (options.replace && std::filesystem::exists(run.folder / "crossval.json")) std::filesystem::remove_all(run.folder);
  catch_signals();

  std::mutex mutex;
  std::map<int, double> shares;
  ProgressBar bar;
  const std::size_t folds = how.folds > 0 ? static_cast<std::size_t>(how.folds) : recipe.data.train.size();
  run.progress = [&](int fold, double share, const std::string& text) {
    const std::lock_guard lock(mutex);
    shares[fold] = share;
    double sum = 0.0;
    for (const auto& [number, done] : shares) sum += done;
    bar.show(std::min(0.999, sum / static_cast<double>(folds)), format("fold {} of {}  {}", fold, folds, text));
  };
  run.finished = [&](const FoldResult& fold) {
    const std::lock_guard lock(mutex);
    shares[fold.fold] = 1.0;
    std::string line = fold.name;
    for (const auto& [name, value] : fold.measures) line += "  " + name + " " + shown(name, value);
    bar.note(line);
  };
  const CrossValidationReport report = cross_validate(recipe, how, run);
  bar.finish();
  if (report.interrupted) {
    say(format("interrupted with {} of {} folds finished; go on with the same command and --resume",
               report.folds.size(), folds));
    return exit_interrupted;
  }
  common.json ? print_json(report) : print_table(report);
  return 0;
}

}  // namespace

void add_crossval(CLI::App& app, Common& common, int& exit_code) {
  auto options = std::make_shared<CrossvalOptions>();
  CLI::App* verb = app.add_subcommand(
      "crossval", "Cross-validate a recipe: train on all folds but one, test on it; mean and 95 % interval");
  verb->add_option("RECIPE", options->recipe, "a recipe (TOML); its training data are divided")->required();
  verb->add_option("--folds", options->folds, "how many, or \"files\": each training file of the recipe is a fold")
      ->required();
  verb->add_option("--group", options->group,
                   "examples with the same value of this column stay in one fold; \"file\": those of a file do");
  verb->add_flag("--plain", options->plain, "do not give every fold its share of each class");
  verb->add_option("--seed", options->seed, "of who goes into which fold")->capture_default_str();
  verb->add_option("-o,--out", options->out, "the folder of the folds' models; crossval/<recipe's name> by default");
  verb->add_option("--set", options->overrides, "override a key, as --set training.rate=0.001; may be repeated")
      ->allow_extra_args(false);
  verb->add_option("--parallel", options->parallel, "folds trained side by side; threads are shared out")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  verb->add_flag("--resume", options->resume, "go on where an interrupted cross-validation stood");
  verb->add_flag("--replace", options->replace, "start anew in a folder that holds a cross-validation already");
  verb->add_option("--threads", common.threads, "threads; by default the processors this process may use")
      ->check(CLI::NonNegativeNumber);
  verb->add_flag("--json", common.json, "one JSON object");
  verb->callback([options, &common, &exit_code] { exit_code = cross_validate_recipe(*options, common); });
}

}  // namespace heed::cli
