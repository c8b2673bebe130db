#pragma once
#include <CLI/CLI.hpp>
#include <atomic>
#include <memory>
#include <string>

namespace heed::cli {

/// What every verb shares.
struct Common {
  int threads = 0;  ///< 0: what the process may use
  bool json = false;
};

/// Exit codes: 0 done, 1 an error that a sentence on stderr explains, 2 wrong usage, 130 interrupted (state saved).
inline constexpr int exit_error = 1, exit_usage = 2, exit_interrupted = 130;

/// Set by Ctrl-C and SIGTERM: finish what is at hand, save, say how to go on.
const std::atomic<bool>& stop_requested();
/// Makes Ctrl-C and SIGTERM set stop_requested(); a second Ctrl-C ends at once.
void catch_signals();

// Each adds its verb to the command line; the callback returns through `exit_code`.
void add_train(CLI::App& app, Common& common, int& exit_code);
void add_eval(CLI::App& app, Common& common, int& exit_code);
void add_crossval(CLI::App& app, Common& common, int& exit_code);
void add_search(CLI::App& app, Common& common, int& exit_code);
void add_run(CLI::App& app, Common& common, int& exit_code);
void add_info(CLI::App& app, Common& common, int& exit_code);
void add_bench(CLI::App& app, Common& common, int& exit_code);
void add_quickstart(CLI::App& app, Common& common, int& exit_code);
void add_completion(CLI::App& app);

}  // namespace heed::cli
