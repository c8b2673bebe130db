#include "experiments/search.h"

#include <algorithm>
#include <cstdio>
#include <mutex>
#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cli/terminal.h"
#include "experiments/search_summary.h"
#include "explain/search_html.h"
#include "formats/file.h"

namespace heed::cli {

namespace {

struct SearchOptions {
  std::string space, out, report;
  std::vector<std::string> overrides;
  std::int64_t trials = -1, top = 10;
  double minutes = -1.0;
  int parallel = 1;
  bool replace = false, help_space = false;
};

/// Trials in a folder that are to be shown, not gone on with.
bool is_finished_search(const std::filesystem::path& path) {
  return std::filesystem::is_directory(path) || path.extension() == ".sqlite";
}

void print_json(const SearchSummary& summary) {
  using nlohmann::ordered_json;
  ordered_json json{{"title", summary.title}, {"objectives", summary.objectives}, {"trials", ordered_json::array()}};
  for (const SummaryRow& row : summary.rows) {
    ordered_json trial{{"trial", row.trial.number},         {"recipe", ordered_json::parse(row.trial.point)},
                       {"state", name_of(row.trial.state)}, {"front", row.front},
                       {"trained", row.trial.progress},     {"steps", row.trial.steps},
                       {"seconds", row.trial.seconds},      {"parameters", row.trial.parameters},
                       {"measures", row.trial.measures}};
    if (row.trial.latency > 0.0) trial["latency_ms"] = row.trial.latency;
    if (row.trial.state == TrialState::failed) trial["error"] = row.trial.reason;
    json["trials"].push_back(std::move(trial));
  }
  std::printf("%s\n", json.dump().c_str());
}

/// The front and the best of the rest, with the keys as columns.
void print_table(const SearchSummary& summary, std::size_t top) {
  std::vector<std::vector<std::string>> table{{"trial"}};
  for (const std::string& objective : summary.objectives) table[0].push_back(objective);
  for (const std::string& key : summary.keys) table[0].push_back(key.substr(key.rfind('.') + 1));
  table[0].insert(table[0].end(), {"trained", "state"});
  std::size_t others = 0;
  for (const SummaryRow& row : summary.rows) {
    if (!row.front && ++others > top) continue;
    std::vector<std::string> line{(row.front ? "* " : "  ") + std::to_string(row.trial.number)};
    for (std::size_t i = 0; i < summary.objectives.size(); ++i)
      line.push_back(row.objectives.empty() ? "" : objective_text(summary.objectives[i], row.objectives[i]));
    line.insert(line.end(), row.values.begin(), row.values.end());
    line.insert(line.end(), {fixed(100.0 * row.trial.progress, 0) + " %", name_of(row.trial.state)});
    table.push_back(std::move(line));
  }
  std::vector<std::size_t> widths(table[0].size(), 0);
  for (const auto& line : table)
    for (std::size_t i = 0; i < line.size(); ++i) widths[i] = std::max(widths[i], line[i].size());
  for (const auto& line : table) {
    for (std::size_t i = 0; i < line.size(); ++i)
      std::printf("%s%*s", i == 0 ? "" : "  ", static_cast<int>(widths[i]), line[i].c_str());
    std::printf("\n");
  }
  std::printf("%zu trials, %lld trained to the end, %lld failed; * %s\n", summary.rows.size(),
              static_cast<long long>(summary.count(TrialState::done)),
              static_cast<long long>(summary.count(TrialState::failed)),
              summary.objectives.size() > 1 ? "on the Pareto front" : "the best");
}

void report(const std::filesystem::path& folder, const SearchOptions& options, const Common& common) {
  const SearchSummary summary = read_search_summary(folder);
  common.json ? print_json(summary) : print_table(summary, static_cast<std::size_t>(options.top));
  if (options.report.empty()) return;
  const std::string page = search_html(summary);
  write_file_atomically(options.report, [&](Writer& writer) { writer.write(page); });
  say("report: " + options.report);
}

std::string outcome(const Trial& trial, const SearchConfig& search) {
  if (trial.state == TrialState::failed) return "failed: " + trial.reason;
  std::string text;
  for (const std::string& objective : search.objectives) {
    const auto found = trial.measures.find(objective);
    const double value = objective == "parameters"       ? static_cast<double>(trial.parameters)
                         : objective == "latency"        ? trial.latency
                         : found == trial.measures.end() ? 0.0
                                                         : found->second;
    text += (text.empty() ? "" : "  ") + objective + " " + objective_text(objective, value);
  }
  return text + (trial.state == TrialState::done ? "" : format("  (rung {})", trial.rung));
}

int search_space(const SearchOptions& options, const Common& common) {
  const std::filesystem::path given = options.space;
  if (is_finished_search(given)) {
    report(given, options, common);
    return 0;
  }
  SearchSpace space = read_search_space(given, options.overrides);
  if (options.trials >= 0) space.search.trials = options.trials;
  if (options.minutes >= 0.0) space.search.minutes = options.minutes;
  SearchRun run{.folder = options.out.empty() ? "searches" / given.stem() : std::filesystem::path(options.out),
                .parallel = options.parallel,
                .threads = common.threads,
                .stop = &stop_requested()};
  if (options.replace && std::filesystem::exists(run.folder / "trials.sqlite")) std::filesystem::remove_all(run.folder);
  catch_signals();
  say(format("{}: {} recipes, {}, for {}", given.string(),
             space.count() > 0 ? with_thousands(space.count()) : "endlessly many", space.search.strategy, [&] {
               std::string all;
               for (const std::string& one : space.search.objectives) all += (all.empty() ? "" : ", ") + one;
               return all;
             }()));
  std::mutex mutex;
  ProgressBar bar;
  std::int64_t begun = 0;
  run.started = [&](const Trial& trial, const std::string& what) {
    const std::lock_guard lock(mutex);
    begun = std::max(begun, trial.number);
    bar.note(dim(format("trial {} ({})  {}", trial.number, what, trial.point)));
  };
  run.progress = [&](std::int64_t trial, double done, const std::string& text) {
    const std::lock_guard lock(mutex);
    bar.show(std::min(done, 0.999), format("trial {}  {}", trial, text));
  };
  run.finished = [&](const Trial& trial) {
    const std::lock_guard lock(mutex);
    bar.note(format("trial {}  {}", trial.number, outcome(trial, space.search)));
  };
  const SearchResult result = search(space, run);
  bar.finish();
  report(run.folder, options, common);
  if (result.reason == "interrupted") {
    say("interrupted; the same command goes on");
    return exit_interrupted;
  }
  say(format("ended by {}; models and trials are in {}", result.reason, run.folder.string()));
  return 0;
}

}  // namespace

void add_search(CLI::App& app, Common& common, int& exit_code) {
  auto options = std::make_shared<SearchOptions>();
  CLI::App* verb =
      app.add_subcommand("search", "Search for good recipes: grid, random or successive halving over any key");
  verb->add_option("SPACE", options->space, "a space file (TOML); or a search's folder, whose trials are shown");
  verb->add_option(
      "-o,--out", options->out,
      "the folder of trials; searches/<space's name> by default. Where it has trials already the search goes on");
  verb->add_option("--report", options->report, "write a page of the trials with their Pareto front to this HTML file");
  verb->add_option("--trials", options->trials, "no new trials after so many (of all runs); 0: no limit")
      ->check(CLI::NonNegativeNumber);
  verb->add_option("--minutes", options->minutes, "end after so many minutes; 0: no limit")
      ->check(CLI::NonNegativeNumber);
  verb->add_option("--set", options->overrides, "override a key of the base recipe; may be repeated")
      ->allow_extra_args(false);
  verb->add_option("--parallel", options->parallel, "trials side by side; threads are shared out")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  verb->add_option("--top", options->top, "trials that the table shows beside the Pareto front")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  verb->add_flag("--replace", options->replace, "start anew where there are trials already");
  verb->add_flag("--help-space", options->help_space, "print a space file with every key, its meaning and default");
  verb->add_option("--threads", common.threads, "threads; by default the processors this process may use")
      ->check(CLI::NonNegativeNumber);
  verb->add_flag("--json", common.json, "the trials as one JSON object");
  verb->callback([options, &common, &exit_code] {
    if (options->help_space) {
      std::fputs(documented_search_space().c_str(), stdout);
      return;
    }
    if (options->space.empty()) throw CLI::RequiredError("SPACE");
    exit_code = search_space(*options, common);
  });
}

}  // namespace heed::cli
