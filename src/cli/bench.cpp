#include "cli/bench.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cli/terminal.h"

extern char** environ;

namespace heed::cli {

namespace {

using Json = nlohmann::ordered_json;

struct BenchOptions {
  std::vector<std::string> cases;
  std::vector<std::string> dtypes = {"float32", "bfloat16", "int8"};
  std::vector<std::int64_t> lengths = {512, 1024, 2048, 4096};
  bool quick = false;
  bool alone = false;  // this process was started for one training case
  int losses = 0;
  std::string weights, tokens;
  std::string spec;  // of one attention, instead of the cases
};

std::vector<BenchCase> all_cases(const BenchOptions& options) {
  if (!options.spec.empty()) return attention_cases_of(options.spec, options.lengths);
  std::vector<BenchCase> cases = limit_cases();
  const auto add = [&](std::vector<BenchCase> more) {
    cases.insert(cases.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
  };
  add(matmul_cases());
  add(attention_cases(options.lengths));
  add(operator_cases());
  add(training_cases());
  return cases;
}

/// The cases of the named groups or names, all when none is named, of the chosen types.
std::vector<BenchCase> chosen_cases(const BenchOptions& options) {
  std::vector<BenchCase> cases = all_cases(options);
  for (const std::string& wanted : options.cases)
    if (std::none_of(cases.begin(), cases.end(),
                     [&](const BenchCase& each) { return each.group == wanted || each.name == wanted; })) {
      std::string known;
      for (const BenchCase& each : cases)
        if (known.find(each.name) == std::string::npos) known += (known.empty() ? "" : ", ") + each.name;
      throw Error(
          "bench: there is no case {}; the groups are limits, matmul, attention, operators and training, the cases {}",
          wanted, known);
    }
  std::erase_if(cases, [&](const BenchCase& each) {
    const auto has = [](const std::vector<std::string>& all, std::string_view one) {
      return std::find(all.begin(), all.end(), one) != all.end();
    };
    return !has(options.dtypes, name_of(each.dtype)) ||
           !(options.cases.empty() || has(options.cases, each.group) || has(options.cases, each.name));
  });
  if (cases.empty()) throw Error("bench: none of the chosen cases has one of the chosen types");
  return cases;
}

/// What a child process writes to stdout. Throws Error when it fails.
std::string output_of(const std::vector<std::string>& arguments) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) throw Error("bench: a pipe cannot be made");
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
  std::vector<char*> pointers;
  for (const std::string& argument : arguments) pointers.push_back(const_cast<char*>(argument.c_str()));
  pointers.push_back(nullptr);
  pid_t child = 0;
  const int failed = posix_spawn(&child, "/proc/self/exe", &actions, nullptr, pointers.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  close(ends[1]);
  std::string output;
  char piece[4096];
  for (ssize_t got = 0; failed == 0 && (got = read(ends[0], piece, sizeof piece)) > 0;)
    output.append(piece, static_cast<std::size_t>(got));
  close(ends[0]);
  int status = 0;
  if (failed != 0 || waitpid(child, &status, 0) != child || status != 0)
    throw Error("bench: the process of {} failed (status {})", arguments.at(2), status);
  return output;
}

/// A training case in a process of its own.
BenchResult measure_in_child(const std::string& name, DType dtype, Bench& bench) {
  std::vector<std::string> arguments = {"heed",
                                        "bench",
                                        name,
                                        "--dtype",
                                        std::string(name_of(dtype)),
                                        "--threads",
                                        std::to_string(bench.pool().threads()),
                                        "--json",
                                        "--alone"};
  if (bench.quick()) arguments.push_back("--quick");
  const Json line = Json::parse(output_of(arguments));
  BenchResult result;
  result.timing = {line.at("ms"), line.at("spread")};
  result.limit_share = line.at("limit_share");
  for (const char* figure : {"tokens_per_second", "peak_gb"}) result.figures.emplace_back(figure, line.at(figure));
  result.note = fixed(line.at("peak_gb"), 2) + " GB";
  return result;
}

std::string unit_of(const std::string& figure) {
  if (figure == "gflops") return "GF/s";
  if (figure == "tokens_per_second") return "tokens/s";
  return "GB/s";
}

double rounded(double value, double places) { return std::round(value * places) / places; }

void print_json(const BenchCase& each, const BenchResult& result, int threads) {
  Json line{{"case", each.name}, {"dtype", name_of(each.dtype)}};
  if (each.length > 0) line["length"] = each.length;
  line["threads"] = threads;
  line["ms"] = rounded(result.timing.ms, 1e4);
  line["spread"] = rounded(result.timing.spread, 1e3);
  line["limit_share"] = rounded(result.limit_share, 1e4);
  for (const auto& [figure, value] : result.figures) line[figure] = rounded(value, 1e3);
  std::printf("%s\n", line.dump().c_str());
}

constexpr int name_width = 43;

void print_heading() {
  std::printf("%-*s  %-8s  %6s  %10s  %6s  %17s  %9s\n", name_width, "case", "dtype", "length", "ms", "spread", "rate",
              "of limit");
}

void print_row(const BenchCase& each, const BenchResult& result) {
  const auto& [figure, rate] = result.figures.front();
  const std::string shown = fixed(rate, rate < 100.0 ? 1 : 0) + " " + unit_of(figure);
  std::printf("%-*s  %-8s  %6s  %10.3f  %4.0f %%  %17s  %7.0f %%  %s\n", name_width, each.name.c_str(),
              std::string(name_of(each.dtype)).c_str(), each.length > 0 ? std::to_string(each.length).c_str() : "",
              result.timing.ms, 100.0 * result.timing.spread, shown.c_str(), 100.0 * result.limit_share,
              result.note.c_str());
}

void run_cases(const BenchOptions& options, const Common& common) {
  const std::vector<BenchCase> cases = chosen_cases(options);
  ThreadPool pool(common.threads);
  Bench bench(pool, options.quick);
  if (!common.json) print_heading();
  ProgressBar bar;
  std::size_t done = 0;
  for (const BenchCase& each : cases) {
    if (stop_requested()) break;
    if (!options.alone)
      bar.show(static_cast<double>(done++) / static_cast<double>(cases.size()),
               format("{} {} {}", each.name, name_of(each.dtype), each.length > 0 ? std::to_string(each.length) : ""));
    const BenchResult result = options.alone ? measure_training(each.name, each.dtype, bench) : each.measure(bench);
    if (is_terminal() && !options.alone) std::fputs("\r\033[K", stderr);
    if (common.json)
      print_json(each, result, pool.threads());
    else
      print_row(each, result);
    std::fflush(stdout);
  }
  if (is_terminal() && !options.alone) std::fputs("\r\033[K", stderr);
}

void print_losses(const BenchOptions& options, const Common& common) {
  if (options.cases.size() != 1 || options.dtypes.size() != 1)
    throw Error("bench: --losses needs the name of one training case and one --dtype");
  ThreadPool pool(common.threads);
  const DType dtype = options.dtypes[0] == "bfloat16" ? DType::bfloat16 : DType::float32;
  int step = 0;
  for (const double loss :
       training_losses(options.cases[0], dtype, options.weights, options.tokens, options.losses, pool)) {
    if (common.json)
      std::printf("%s\n", Json{{"step", step++}, {"loss", loss}}.dump().c_str());
    else
      std::printf("%4d  %.6f\n", step++, loss);
  }
}

}  // namespace

std::vector<BenchCase> training_cases() {
  std::vector<BenchCase> cases;
  for (const std::string& name : training_case_names())
    for (const DType dtype : {DType::float32, DType::bfloat16})
      cases.push_back(
          {"training", name, dtype, 0, [name, dtype](Bench& bench) { return measure_in_child(name, dtype, bench); }});
  return cases;
}

void add_bench(CLI::App& app, Common& common, int& exit_code) {
  auto options = std::make_shared<BenchOptions>();
  CLI::App* verb =
      app.add_subcommand("bench", "Measure the machine, and beside its limits matrix products, attention and training");
  verb->add_option("CASES", options->cases,
                   "limits, matmul, attention, operators, training, or names of cases; by default all");
  verb->add_option("--dtype", options->dtypes, "types to measure: float32, bfloat16, int8; by default all")
      ->delimiter(',')
      ->check(CLI::IsMember({"float32", "bfloat16", "int8"}));
  verb->add_option("--spec", options->spec,
                   "attention: measure this one, for instance \"score=cosine,mask=causal & window(512),width=128\"");
  CLI::Option* lengths = verb->add_option("--lengths", options->lengths, "attention: lengths of the sequences")
                             ->delimiter(',')
                             ->check(CLI::PositiveNumber)
                             ->capture_default_str();
  verb->add_option("--threads", common.threads, "threads; by default the processors this process may use")
      ->check(CLI::NonNegativeNumber);
  verb->add_flag("--json", common.json, "one JSON object a case and line");
  verb->add_flag("--quick", options->quick, "fewer samples, and lengths of 512 and 1024 unless given");
  verb->add_option("--losses", options->losses,
                   "instead: the losses of so many steps of one training case, without dropout")
      ->check(CLI::PositiveNumber);
  verb->add_option("--weights", options->weights, "with --losses: start from this safetensors file's weights");
  verb->add_option("--tokens", options->tokens,
                   "with --losses: tokens from this .npy file, integers [sequences, length]");
  verb->add_flag("--alone", options->alone)->group("");
  verb->callback([options, lengths, &common, &exit_code] {
    if (options->quick && lengths->count() == 0) options->lengths = {512, 1024};
    catch_signals();
    if (options->losses > 0)
      print_losses(*options, common);
    else
      run_cases(*options, common);
    exit_code = stop_requested() ? exit_interrupted : 0;
  });
}

}  // namespace heed::cli
