#include <cstdio>

#include "cli/terminal.h"
#include "cli/training.h"
#include "train/train_folder.h"

namespace heed::cli {

namespace {

/// The recipe file's name without its ending, when no folder is given.
std::filesystem::path default_folder(const std::filesystem::path& recipe) { return "models" / recipe.stem(); }

/// A model folder may be moved or trained from elsewhere, so its recipe names files from the root.
Recipe with_absolute_paths(Recipe recipe) {
  resolve_paths(recipe, std::filesystem::current_path());
  return recipe;
}

}  // namespace

void add_train(CLI::App& app, Common& common, int& exit_code) {
  struct TrainOptions {
    std::string recipe, out;
    std::vector<std::string> overrides;
    bool resume = false, help_recipe = false, replace = false;
  };
  auto options = std::make_shared<TrainOptions>();
  CLI::App* verb = app.add_subcommand("train", "Train a model from a recipe");
  verb->add_option("RECIPE", options->recipe, "a recipe (TOML), or with --resume a model folder");
  verb->add_option("-o,--out", options->out, "the model folder to make; models/<recipe's name> by default");
  verb->add_option("--set", options->overrides, "override a key, as --set training.rate=0.001; may be repeated")
      ->allow_extra_args(false);
  verb->add_flag("--resume", options->resume, "go on from the last checkpoint of the model folder");
  verb->add_flag("--replace", options->replace, "train anew into a folder that holds a training already");
  verb->add_flag("--help-recipe", options->help_recipe, "print a recipe with every key, its meaning and default");
  verb->add_option("--threads", common.threads, "threads; by default the processors this process may use")
      ->check(CLI::NonNegativeNumber);
  verb->callback([options, &common, &exit_code] {
    if (options->help_recipe) {
      std::fputs(write_recipe(Recipe{}, true).c_str(), stdout);
      return;
    }
    if (options->recipe.empty()) throw CLI::RequiredError("RECIPE");
    const std::filesystem::path given = options->recipe;
    Recipe recipe;
    std::filesystem::path folder;
    if (options->resume && std::filesystem::is_directory(given)) {
      folder = given;
      recipe = read_recipe(folder / "recipe.toml", options->overrides);
    } else {
      // Files in the recipe lie beside it; those given on the command line, where the user stands.
      recipe = read_recipe(given);
      resolve_paths(recipe, given.parent_path());
      recipe = parse_recipe(write_recipe(recipe), given.string(), options->overrides);
      folder = options->out.empty() ? default_folder(given) : std::filesystem::path(options->out);
    }
    recipe = with_absolute_paths(recipe);
    check(recipe);
    const bool started = has_checkpoint(folder);
    if (options->resume && !std::filesystem::exists(folder / "heed.json"))
      throw Error("{}: nothing to resume there; without --resume a training starts", folder.string());
    if (!options->resume && started && !options->replace)
      throw Error(
          "{}: holds a training already; go on with `heed train --resume {}`, or give --replace or another --out",
          folder.string(), folder.string());
    const TrainingResult result = train_recipe(recipe, folder, common, options->resume);
    if (result.reason == "interrupted") {
      say(format("interrupted after step {}; go on with: heed train --resume {}", with_thousands(result.progress.step),
                 folder.string()));
      exit_code = exit_interrupted;
      return;
    }
    say(format("{} after {} steps, {} (ended by {})", bold("trained " + folder.string()),
               with_thousands(result.progress.step), as_time(result.progress.seconds), result.reason));
    exit_code = 0;
  });
}

}  // namespace heed::cli
