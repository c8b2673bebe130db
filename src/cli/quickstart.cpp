#include <algorithm>
#include <cstdio>
#include <limits>
#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cli/quickstart_folder.h"
#include "cli/terminal.h"
#include "cli/training.h"
#include "explain/attention_html.h"
#include "explain/attention_terminal.h"
#include "explain/explain_translation.h"
#include "formats/file.h"
#include "tasks/synthetic_corpus.h"

namespace heed::cli {

namespace {

struct QuickstartOptions {
  std::string out = "quickstart";
  std::int64_t seed = 1;
  std::int64_t steps = 2500;
  bool resume = false;
};

void say_step(int number, const std::string& line) { say("\n" + bold(format("{}  {}", number, line))); }

std::string padded(const std::string& text, int width) {
  const int missing = width - display_width(text);
  return missing > 0 ? text + std::string(static_cast<std::size_t>(missing), ' ') : text;
}

void make_corpus(const QuickstartFolder& folder, const QuickstartOptions& options) {
  folder.prepare(options.seed, options.steps);
  const SyntheticCorpus corpus = make_synthetic_corpus(static_cast<std::uint64_t>(options.seed));
  write_pairs(folder.corpus() / "train.tsv", corpus.train);
  write_pairs(folder.corpus() / "validation.tsv", corpus.validation);
  write_pairs(folder.corpus() / "test.tsv", corpus.test);
  say_step(1, format("A small language, made on the spot: {} pairs to learn from, {} held out",
                     with_thousands(static_cast<std::int64_t>(corpus.train.size())),
                     with_thousands(static_cast<std::int64_t>(corpus.validation.size() + corpus.test.size()))));
  for (const char* direction : {"digits:", "words:"}) {
    const auto found = std::find_if(corpus.train.begin(), corpus.train.end(),
                                    [&](const TranslationPair& pair) { return pair.source.starts_with(direction); });
    say("   " + found->source + dim(" → ") + found->target);
  }
  say(dim("   all of them: " + folder.corpus().string()));
}

std::vector<TranslationPair> held_out_pairs(const Recipe& recipe) {
  ExampleReader reader(recipe.data, Task::translation, data_files(recipe.data, DataPart::test, ""));
  std::vector<TranslationPair> pairs;
  for (TextExample example; reader.next(example);) pairs.push_back({example.source, example.target});
  return pairs;
}

std::vector<std::string> translate(const Evaluation& with, const std::vector<TranslationPair>& pairs) {
  std::vector<std::string> sources, references, answers;
  for (const TranslationPair& pair : pairs) {
    sources.push_back(pair.source);
    references.push_back(pair.target);
  }
  evaluate_translation(with, sources, references, GenerationConfig{}, &answers);
  return answers;
}

void show_examples(const std::vector<TranslationPair>& pairs, const std::vector<std::string>& answers) {
  const std::size_t count = std::min<std::size_t>(6, pairs.size());
  int width = 0;
  for (std::size_t i = 0; i < count; ++i) width = std::max(width, display_width(pairs[i].source));
  for (std::size_t i = 0; i < count; ++i) {
    const bool right = answers[i] == pairs[i].target;
    say("   " + (right ? green("✓") : red("✗")) + " " + padded(pairs[i].source, width) + dim(" → ") + answers[i] +
        (right ? "" : dim("  instead of ") + pairs[i].target));
  }
}

/// A date that is answered rightly, its month and day not alike, shows best how words and digits belong together.
std::size_t example_to_explain(const std::vector<TranslationPair>& pairs, const std::vector<std::string>& answers) {
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    const std::string& date = pairs[i].target;
    if (pairs[i].source.starts_with("digits:") && date.size() == 10 && date.substr(5, 2) != date.substr(8) &&
        answers[i] == date)
      return i;
  }
  return 0;
}

void explain(const Evaluation& with, const std::string& source, const std::filesystem::path& page) {
  const ExplainedTranslation explained = explain_translation(with, source);
  write_file_atomically(page, [&](Writer& writer) { writer.write(attention_html(explained.attention)); });
  say_step(4, "Where it looked: for each piece of the answer (downwards), the pieces of the source (across)");
  say("   " + explained.attention.title + "\n");
  const std::string picture = attention_terminal(explained.attention, {terminal_columns() - 3, in_colour()});
  for (std::size_t begin = 0; begin < picture.size();) {
    const std::size_t end = picture.find('\n', begin);
    say("   " + picture.substr(begin, end - begin));
    begin = end + 1;
  }
  say(dim("   The more ink, the more attention; the mean of all heads. Every head, with figures: " + page.string()));
}

void show_what_next(const QuickstartFolder& folder) {
  const std::string heed = command_name(), model = in_shell(folder.model());
  say_step(5, "What to try next");
  const std::pair<std::string, const char*> commands[] = {
      {heed + " run " + model + " 'digits: the first of may twenty twenty-six'", "translate your own"},
      {"echo 'words: 2048' | " + heed + " run " + model + " --json",
       "lines of a file or pipe, with their probabilities"},
      {heed + " eval " + model, "score the held-out pairs in full"},
      {heed + " info " + model, "its layers, parameters, bytes"},
      {heed + " train " + in_shell(folder.recipe()) + " --out larger --set model.layers=3",
       "another model from the same recipe"},
      {heed + " train --help-recipe", "every setting, for a recipe on files of your own"},
  };
  for (const auto& [command, meaning] : commands) say("   " + command + "\n" + dim("      " + std::string(meaning)));
}

int quickstart(const QuickstartOptions& options, const Common& common) {
  const QuickstartFolder folder{options.out};
  const std::string again = command_name() + " quickstart --resume" +
                            (options.out == QuickstartOptions{}.out ? "" : " --out " + in_shell(options.out));
  if (options.resume && !folder.is_own())
    throw Error("{}: no quickstart to go on with; without --resume one starts", options.out);
  say("heed quickstart: a Transformer learns to read and write numbers and dates.");
  if (!options.resume) make_corpus(folder, options);
  const Recipe recipe = folder.read_recipe();

  say_step(2, format("Training, {} steps (about a minute on two cores; Ctrl-C saves and says how to go on)",
                     with_thousands(recipe.training.steps)));
  say(dim("   the recipe: " + folder.recipe().string()));
  const bool started = std::filesystem::exists(folder.model() / "heed.json");
  const TrainingResult trained = train_recipe(recipe, folder.model(), common, options.resume && started);
  if (trained.reason == "interrupted") {
    say(format("interrupted after step {}; go on with: {}", with_thousands(trained.progress.step), again));
    return exit_interrupted;
  }

  const ModelFolder model = load_model_folder(folder.model());
  ThreadPool pool(common.threads);
  Arena arena;
  const Evaluation with{*model.model, model.text, arena, pool, precision_of(recipe.training)};
  const std::vector<TranslationPair> pairs = held_out_pairs(recipe);
  const std::vector<std::string> answers = translate(with, pairs);
  std::size_t right = 0;
  for (std::size_t i = 0; i < pairs.size(); ++i) right += answers[i] == pairs[i].target;
  const double share = static_cast<double>(right) / static_cast<double>(pairs.size());
  say_step(3, format("Numbers and dates that it has never seen: {} of {} answers are right to the letter ({} %)", right,
                     pairs.size(), fixed(100.0 * share, 1)));
  show_examples(pairs, answers);
  explain(with, pairs[example_to_explain(pairs, answers)].source, folder.page());
  show_what_next(folder);
  if (common.json)
    std::printf("%s\n", nlohmann::ordered_json{{"exact_match", share},
                                               {"pairs", pairs.size()},
                                               {"steps", trained.progress.step},
                                               {"seconds", trained.progress.seconds},
                                               {"model", folder.model().string()},
                                               {"attention", folder.page().string()}}
                            .dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace)
                            .c_str());
  return 0;
}

}  // namespace

void add_quickstart(CLI::App& app, Common& common, int& exit_code) {
  auto options = std::make_shared<QuickstartOptions>();
  CLI::App* verb = app.add_subcommand("quickstart", "Train a small translator in about a minute, and look inside");
  verb->add_option("-o,--out", options->out, "the folder to make, or to replace if a quickstart made it")
      ->capture_default_str();
  CLI::Option* seed = verb->add_option("--seed", options->seed, "decides the corpus and the training")
                          ->capture_default_str()
                          ->check(CLI::Range(std::int64_t{0}, std::numeric_limits<std::int64_t>::max()));
  CLI::Option* steps = verb->add_option("--steps", options->steps, "training steps")
                           ->capture_default_str()
                           ->check(CLI::Range(std::int64_t{1}, std::int64_t{1} << 40));
  verb->add_flag("--resume", options->resume, "go on where an interrupted quickstart stopped")
      ->excludes(seed)
      ->excludes(steps);
  verb->add_option("--threads", common.threads, "threads; by default the processors this process may use")
      ->check(CLI::NonNegativeNumber);
  verb->add_flag("--json", common.json, "print a JSON object with what was reached");
  verb->callback([options, &common, &exit_code] { exit_code = quickstart(*options, common); });
}

}  // namespace heed::cli
