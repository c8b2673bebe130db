#include <heed/error.h>
#include <malloc.h>
#include <unistd.h>

#include <cstdio>
#include <exception>

#include "cli/commands.h"
#include "cli/terminal.h"

using namespace heed::cli;

namespace {

constexpr const char* footer =
    R"(Exit codes: 0 done; 1 an error, explained in a sentence on stderr; 2 wrong usage; 130 interrupted, state saved.
Answers go to stdout, everything else to stderr.

  heed quickstart                          train a small translator and look inside, about two minutes
  heed train --help-recipe > recipe.toml   every setting with its default
  heed train recipe.toml --out model       train
  heed run model "a sentence"              translate, go on writing, or classify
  heed eval model --data test.tsv          measure)";

/// Headings stand out on a terminal.
class Formatter : public CLI::Formatter {
 public:
  std::string make_group(std::string group, bool is_positional,
                         std::vector<const CLI::Option*> options) const override {
    return CLI::Formatter::make_group(bold_on_stdout(group), is_positional, std::move(options));
  }
  std::string make_usage(const CLI::App* app, std::string name) const override {
    return CLI::Formatter::make_usage(app, bold_on_stdout(std::move(name)));
  }

 private:
  static std::string bold_on_stdout(std::string text) {
    return isatty(STDOUT_FILENO) != 0 && std::getenv("NO_COLOR") == nullptr ? "\033[1m" + text + "\033[0m" : text;
  }
};

}  // namespace

int main(int argc, char** argv) {
  // Blocks of some hundred kilobytes recur every step; without these the C library would map and unmap them each time.
  mallopt(M_MMAP_THRESHOLD, 1 << 28);
  mallopt(M_TRIM_THRESHOLD, 1 << 29);
  CLI::App app(
      "heed: attention in language models. Train from plain files, run, measure and look inside: one definition per "
      "model.",
      "heed");
  app.set_version_flag("--version", std::string("heed ") + HEED_VERSION);
  app.require_subcommand(1);
  app.footer(footer);
  app.formatter(std::make_shared<Formatter>());
  app.get_formatter()->column_width(34);
  Common common;
  int exit_code = 0;
  add_train(app, common, exit_code);
  add_eval(app, common, exit_code);
  add_crossval(app, common, exit_code);
  add_search(app, common, exit_code);
  add_run(app, common, exit_code);
  add_info(app, common, exit_code);
  add_bench(app, common, exit_code);
  add_quickstart(app, common, exit_code);
  add_completion(app);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const int code = app.exit(error, std::cout, std::cerr);
    return code == 0 ? 0 : exit_usage;
  } catch (const heed::Error& error) {
    say(red("heed: ") + error.what());
    return exit_error;
  } catch (const std::bad_alloc&) {
    say(red("heed: ") + "out of memory: a smaller batch or model needs less");
    return exit_error;
  } catch (const std::exception& error) {
    say(red("heed: ") + "internal error: " + error.what());
    return exit_error;
  }
  std::fflush(stdout);
  if (std::ferror(stdout)) {
    say(red("heed: ") + "the answers could not be written to stdout");
    return exit_error;
  }
  return exit_code;
}
