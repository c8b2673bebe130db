#include "train/recipe.h"

#include <gtest/gtest.h>
#include <heed/error.h>

#include <cmath>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <sstream>
#include <type_traits>

#include "formats/utf8.h"

namespace heed {
namespace {

std::string sentence_of(auto&& act) {
  try {
    act();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

std::string parse_error(const std::string& text, const std::vector<std::string>& overrides = {}) {
  return sentence_of([&] { parse_recipe(text, "r.toml", overrides); });
}

/// A recipe that passes check().
Recipe good(const std::string& task = "translation") {
  Recipe recipe;
  recipe.task = task;
  recipe.data.train = {"train.tsv"};
  const bool two_sides = task == "translation" || task == "summarisation";
  recipe.model.kind = two_sides ? "encoder-decoder" : task == "language-model" ? "decoder" : "encoder";
  recipe.training.epochs = 1;
  return recipe;
}

std::string check_error(const std::string& task, auto&& change) {
  Recipe recipe = good(task);
  change(recipe);
  return sentence_of([&] { check(recipe); });
}

TEST(Recipe, ReadsEachSection) {
  const Recipe recipe = parse_recipe(R"(
task = "translation"
description = "dates"
[data]
train = ["a.en", "b.en"]
train_target = "a.de"
[vocabulary]
size = 4000
[batch]
tokens = 4096
[model]
kind = "encoder-decoder"
bias = false
[training]
rate = 3
seed = 9223372036854775807
[generation]
stop = []
)",
                                     "r.toml");
  EXPECT_EQ(recipe.task, "translation");
  EXPECT_EQ(recipe.data.train, (std::vector<std::string>{"a.en", "b.en"}));
  EXPECT_EQ(recipe.data.train_target, std::vector<std::string>{"a.de"});
  EXPECT_EQ(recipe.vocabulary.size, 4000);
  EXPECT_EQ(recipe.batch.tokens, 4096);
  EXPECT_FALSE(recipe.model.bias);
  EXPECT_EQ(recipe.training.rate, 3.0);
  EXPECT_EQ(recipe.training.seed, std::uint64_t{9223372036854775807});
  EXPECT_EQ(recipe.generation, GenerationConfig{});
}

TEST(Recipe, SuggestsTheNearestKeyHereOrInAnotherSection) {
  EXPECT_EQ(parse_error("[batch]\nrate = 1"),
            "batch.rate: unknown key; did you mean training.rate? (r.toml, line 2, column 8)");
  EXPECT_EQ(parse_error("[training]\nstep = 1"),
            "training.step: unknown key; did you mean training.steps? (r.toml, line 2, column 8)");
  EXPECT_EQ(parse_error("[training]\nlearning_rate = 1"),
            "training.learning_rate: unknown key; did you mean training.rate? (r.toml, line 2, column 17)");
  EXPECT_EQ(parse_error("epochs = 1"),
            "epochs: unknown key; did you mean training.epochs? (r.toml, line 1, column 10)");
  EXPECT_EQ(parse_error("", {"model.widht=3"}),
            "model.widht: unknown key; did you mean model.width? (--set model.widht=3)");
}

TEST(Recipe, ListsTheKeysOfASectionWhenNoneIsNear) {
  EXPECT_EQ(
      parse_error("[batch]\nxylophone = 1"),
      "batch.xylophone: unknown key; [batch] has tokens, sequences, context, order, context_jitter, bucket, accumulate "
      "(r.toml, line 2, column 13)");
}

TEST(Recipe, RefusesUnknownSections) {
  EXPECT_EQ(parse_error("[trainig]\n"),
            "[trainig]: unknown section; did you mean [training]? (r.toml, line 1, column 2)");
  EXPECT_EQ(parse_error("[hardware]\ngpu = 1"),
            "[hardware]: unknown section; the sections are [data], [vocabulary], [batch], [model], [training], "
            "[generation] (r.toml, line 1, column 2)");
  EXPECT_EQ(parse_error("", {"modell.width=3"}),
            "[modell]: unknown section; did you mean [model]? (--set modell.width=3)");
  EXPECT_EQ(parse_error("data = 3"),
            "data: expected a section [data] with keys, found the number 3 (r.toml, line 1, column 8)");
  const std::string nested = parse_error("[model.encoder]\nwidth = 3");
  EXPECT_TRUE(nested.starts_with("model.encoder: unknown key; [model] has kind, network, width, ")) << nested;
  EXPECT_TRUE(nested.ends_with(" (r.toml, line 1, column 1)")) << nested;
}

TEST(Recipe, NamesTypeAndPlaceOfAWrongValue) {
  EXPECT_EQ(parse_error("[training]\nrate = \"fast\""),
            "training.rate: expected a number, found the text \"fast\" (r.toml, line 2, column 8)");
  EXPECT_EQ(parse_error("[training]\nsteps = 1.5"),
            "training.steps: expected a whole number, found the number 1.5 (r.toml, line 2, column 9)");
  EXPECT_EQ(parse_error("[training]\nseed = -1"),
            "training.seed: expected a whole number of 0 or more, found the number -1 (r.toml, line 2, column 8)");
  EXPECT_EQ(parse_error("[model]\nbias = 1"),
            "model.bias: expected true or false, found the number 1 (r.toml, line 2, column 8)");
  EXPECT_EQ(parse_error("[data]\ntext_column = 3"),
            "data.text_column: expected a text in quotes, found the number 3 (r.toml, line 2, column 15)");
  EXPECT_EQ(parse_error("[data]\ntrain = [\"a\", 3]"),
            "data.train: expected a text in quotes, or a list of them, found an array with a number in it (r.toml, "
            "line 2, column 9)");
  EXPECT_EQ(parse_error("[data]\ntrain = {a = 3}"),
            "data.train: expected a text in quotes, or a list of them, found a table (r.toml, line 2, column 9)");
  EXPECT_EQ(parse_error("", {"training.rate=fast"}),
            "training.rate: expected a number, found the text \"fast\" (--set training.rate=fast)");
}

TEST(Recipe, ReadsListsOfWholeNumbers) {
  const auto widths = [](const std::string& value) {
    return parse_recipe("[model]\nkernel_widths = " + value, "r.toml").model.kernel_widths;
  };
  EXPECT_EQ(widths("[3, 4, 5]"), (std::vector<std::int64_t>{3, 4, 5}));
  EXPECT_EQ(widths("3"), (std::vector<std::int64_t>{3}));
  EXPECT_TRUE(widths("[]").empty());
  EXPECT_EQ(parse_recipe("", "r.toml", {"model.kernel_widths=[2, 3]"}).model.kernel_widths.size(), 2u);
  EXPECT_EQ(parse_error("[model]\nkernel_widths = [\"3\"]"),
            "model.kernel_widths: expected a whole number, or a list of them, found a list of 1 text (r.toml, line 2, "
            "column 17)");
  EXPECT_EQ(parse_error("[model]\nkernel_widths = [3, 0]"),
            "model.kernel_widths: expected 1 to 64, found 0 (r.toml, line 2, column 17)");
  EXPECT_EQ(parse_error("[model]\nkernel_widths = 65"),
            "model.kernel_widths: expected 1 to 64, found 65 (r.toml, line 2, column 17)");
}

TEST(Recipe, NamesWhatAKeyAllows) {
  EXPECT_EQ(parse_error("[model]\nactivation = \"tanh\""),
            "model.activation: expected relu, gelu, gelu_tanh or silu, found \"tanh\" (r.toml, line 2, column 14)");
  EXPECT_EQ(parse_error("[model]\ndropout = 1"),
            "model.dropout: expected 0 to less than 1, found 1.0 (r.toml, line 2, column 11)");
  EXPECT_EQ(parse_error("[model]\nattention_dropout = -0.5"),
            "model.attention_dropout: expected -1, or 0 to less than 1, found -0.5 (r.toml, line 2, column 21)");
  EXPECT_EQ(parse_error("[model]\nwidth = 0"), "model.width: expected 1 or more, found 0 (r.toml, line 2, column 9)");
  EXPECT_EQ(parse_error("[training]\nrate = 0.0"),
            "training.rate: expected more than 0, found 0.0 (r.toml, line 2, column 8)");
  EXPECT_EQ(parse_error("[training]\nclip = inf"),
            "training.clip: expected 0 or more, found inf (r.toml, line 2, column 8)");
  EXPECT_EQ(parse_error("[training]\nclip = nan"),
            "training.clip: expected 0 or more, found nan (r.toml, line 2, column 8)");
}

TEST(Recipe, OverridesReplaceTheFileInTheirOrder) {
  const Recipe recipe =
      parse_recipe("[model]\nwidth = 64\n", "r.toml",
                   {"model.width=128", "model.width=32", "training.rate=1", "data.train=corpus/a.txt",
                    "data.text_column=3", "data.validation=2024", "description=true", "data.test=['a', 'b']"});
  EXPECT_EQ(recipe.model.width, 32);
  EXPECT_EQ(recipe.training.rate, 1.0);
  EXPECT_EQ(recipe.data.train, std::vector<std::string>{"corpus/a.txt"});
  EXPECT_EQ(recipe.data.text_column, "3");
  EXPECT_EQ(recipe.data.validation, std::vector<std::string>{"2024"});
  EXPECT_EQ(recipe.description, "true");
  EXPECT_EQ(recipe.data.test, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(parse_error("", {"data.train=[1]"}),
            "data.train: expected a text in quotes, or a list of them, found an array with a number in it (--set "
            "data.train=[1])");
}

/// A value that the key allows and that is not its default.
struct Changed {
  static void apply(bool& value, const Allowed&) { value = !value; }
  static void apply(std::int64_t& value, const Allowed& allowed) {
    if (std::isfinite(allowed.most))
      value = static_cast<std::int64_t>(static_cast<double>(value) == allowed.most ? allowed.least : allowed.most);
    else
      value += 3;
  }
  static void apply(std::uint64_t& value, const Allowed&) { value += 3; }
  static void apply(double& value, const Allowed& allowed) {
    value = std::isfinite(allowed.most) ? allowed.least + (allowed.most - allowed.least) / 3 : value + 1.0 / 3;
  }
  static void apply(std::string& value, const Allowed& allowed) {
    value = allowed.choices.empty() ? "a \"text\"\n\\ with é and \x01" : allowed.choices.back();
  }
  static void apply(std::vector<std::string>& value, const Allowed&) { value = {"a, b", "", "c\t"}; }
  static void apply(std::vector<std::int64_t>& value, const Allowed&) { value = {3, 1, 4}; }
};

TEST(Recipe, ReadsBackWhatItWrites) {
  Recipe recipe;
  const auto change = [](const char*, auto& member, const char*, const Allowed& allowed = {}) {
    Changed::apply(member, allowed);
  };
  Recipe::fields(recipe, change);
  Recipe::sections(recipe, [&](const char*, auto& config, const char*) {
    std::remove_cvref_t<decltype(config)>::fields(config, change);
  });
  for (const Recipe& each : {Recipe{}, good(), recipe})
    for (const bool documented : {false, true})
      EXPECT_EQ(parse_recipe(write_recipe(each, documented), "r.toml"), each) << write_recipe(each, documented);
}

TEST(Recipe, DocumentsEveryKeyOnAPageOf120Columns) {
  const std::string text = write_recipe(Recipe{}, true);
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) EXPECT_LE(utf8_length(line), 120) << line;
  EXPECT_NE(text.find("\ndropout = 0.1                 # rate after each sublayer (0 to less than 1)\n"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("\n# how the model learns, and when it stops\n[training]\n"), std::string::npos);
  const Recipe defaults;
  Recipe::sections(defaults, [&](const char*, const auto& config, const char*) {
    std::remove_cvref_t<decltype(config)>::fields(config, [&](const char* key, auto&, const char* doc, auto&&...) {
      EXPECT_NE(text.find(std::string("\n") + key + " = "), std::string::npos) << key;
      EXPECT_FALSE(std::string(doc).empty()) << key;
    });
  });
}

TEST(Recipe, DefaultsAreAllowed) {
  for (const char* task : {"translation", "summarisation", "classification", "language-model", "question-answering"})
    EXPECT_NO_THROW(check(good(task)));
}

TEST(RecipeFile, SaysThatItCannotBeRead) {
  EXPECT_EQ(sentence_of([] { read_recipe("/no/such/recipe.toml"); }),
            "cannot read the recipe /no/such/recipe.toml: there is no such file, or it may not be read");
  EXPECT_TRUE(sentence_of([] { read_recipe("/"); }).starts_with("/ is a folder, expected a recipe"));
}

TEST(RecipeFile, IsReadWithItsNameInErrors) {
  const std::filesystem::path path = std::filesystem::path(testing::TempDir()) / "recipe_test.toml";
  std::ofstream(path) << "[model]\nwidth = 12\nheads = 'x'\n";
  EXPECT_EQ(sentence_of([&] { read_recipe(path); }),
            "model.heads: expected a whole number, found the text \"x\" (" + path.string() + ", line 3, column 9)");
  std::ofstream(path) << "[model]\nwidth = 12\n";
  EXPECT_EQ(read_recipe(path, {"model.heads=3"}).model.heads, 3);
  std::filesystem::remove(path);
}

TEST(RecipePaths, AreRelativeToTheRecipe) {
  Recipe recipe;
  recipe.data.train = {"a.txt", "/data/b.txt", "../c.txt"};
  recipe.data.test_target = {"d.txt"};
  recipe.training.start_from = "model";
  resolve_paths(recipe, "recipes/small");
  EXPECT_EQ(recipe.data.train, (std::vector<std::string>{"recipes/small/a.txt", "/data/b.txt", "recipes/c.txt"}));
  EXPECT_EQ(recipe.data.test_target, std::vector<std::string>{"recipes/small/d.txt"});
  EXPECT_EQ(recipe.training.start_from, "recipes/small/model");
  EXPECT_EQ(recipe.vocabulary.from, "");
}

TEST(RecipeCheck, NeedsATaskAnEndAndTrainingFiles) {
  EXPECT_EQ(check_error("translation", [](Recipe& r) { r.task = ""; }),
            "task: not given; write task = \"translation\", \"summarisation\", \"language-model\", \"classification\", "
            "\"question-answering\" or \"multi-task\"");
  EXPECT_EQ(check_error("translation", [](Recipe& r) { r.data.train = {}; }),
            "data.train: not given; name at least one training file");
  EXPECT_EQ(check_error("translation", [](Recipe& r) { r.training.epochs = 0; }),
            "training has no end; give training.steps, training.epochs or training.minutes");
}

TEST(RecipeCheck, ChecksValuesThatWereNotRead) {
  EXPECT_EQ(check_error("translation", [](Recipe& r) { r.model.dropout = std::nan(""); }),
            "model.dropout: expected 0 to less than 1, found nan");
  EXPECT_EQ(check_error("translation", [](Recipe& r) { r.training.seed = ~std::uint64_t{0}; }),
            "training.seed: expected 0 to 9223372036854775807, found 18446744073709551615");
  EXPECT_EQ(check_error("translation", [](Recipe& r) { r.model.width = std::int64_t{1} << 60; }),
            "model.width: expected at most 1048576, found 1152921504606846976");
}

TEST(RecipeCheck, FitsTheModelToTheTask) {
  EXPECT_EQ(check_error("translation", [](Recipe& r) { r.model.kind = "decoder"; }),
            "model.kind: task = \"translation\" needs \"encoder-decoder\", found \"decoder\"");
  EXPECT_EQ(check_error("classification", [](Recipe& r) { r.model.kind = "decoder"; }),
            "model.kind: task = \"classification\" needs \"encoder\", found \"decoder\"");
  EXPECT_EQ(check_error("language-model", [](Recipe& r) { r.model.kind = "encoder"; }),
            "model.kind: task = \"language-model\" needs \"decoder\", found \"encoder\"");
}

TEST(RecipeCheck, FitsHeadsToTheWidth) {
  EXPECT_EQ(check_error("translation", [](Recipe& r) { r.model.width = 250; }),
            "model.width = 250 is not divisible by model.heads = 4; change one, or give model.head_width");
  EXPECT_EQ(check_error("translation", [](Recipe& r) { r.model.width = 250, r.model.head_width = 64; }), "no error");
  EXPECT_EQ(check_error("translation", [](Recipe& r) { r.model.key_value_heads = 3; }),
            "model.heads = 4 is not divisible by model.key_value_heads = 3; change one (0: as heads)");
  EXPECT_EQ(check_error("translation", [](Recipe& r) { r.model.position = "rotary", r.model.head_width = 7; }),
            "model.position = \"rotary\" turns pairs, but a head is 7 wide; choose an even model.head_width");
}

TEST(RecipeCheck, FitsFilesToTheTask) {
  EXPECT_EQ(check_error("translation",
                        [](Recipe& r) {
                          r.data.train_target = {"a", "b"};
                        }),
            "data.train has 1 files and data.train_target has 2; each source file needs its target file");
  EXPECT_EQ(
      check_error("language-model", [](Recipe& r) { r.data.test_target = {"a"}; }),
      "data.test_target is for tasks \"translation\", \"summarisation\" and \"classification\" (its labels), and the "
      "task is \"language-model\"; leave it out");
  EXPECT_EQ(check_error("translation", [](Recipe& r) { r.data.format = "lines"; }),
            "data.format = \"lines\" has no target side; give data.train_target, or a tsv, csv or jsonl file");
  EXPECT_EQ(check_error("classification", [](Recipe& r) { r.data.format = "lines"; }),
            "data.format = \"lines\" has no labels; use label-lines, tsv, csv or jsonl, or give data.train_target");
  EXPECT_EQ(
      check_error("classification", [](Recipe& r) { r.data.format = "squad"; }),
      "data.format = \"squad\" does not go with task = \"classification\"; \"squad\" is for \"question-answering\", "
      "which reads nothing else, and \"language-model\"");
  EXPECT_EQ(check_error("language-model", [](Recipe& r) { r.data.format = "label-lines"; }),
            "data.format = \"label-lines\" is for task = \"classification\", and the task is \"language-model\"");
}

TEST(RecipeCheck, KnowsOneWayToValidate) {
  const auto both = [](Recipe& r) { r.data.validation = {"v"}, r.data.validation_split = 0.1; };
  EXPECT_EQ(check_error("translation", both),
            "give one of data.validation, data.validation_split and data.validation_every, found 2");
  EXPECT_EQ(check_error("translation", [](Recipe& r) { r.data.validation_every = 1; }),
            "data.validation_every = 1 holds out every example; choose 2 or more, or 0 for none");
  EXPECT_EQ(check_error("translation", [](Recipe& r) { r.training.patience = 2; }),
            "training.patience = 2 needs validations; give data.validation or data.validation_split");
}

TEST(RecipeCheck, FitsLengthsToTheContext) {
  EXPECT_EQ(check_error("classification", [](Recipe& r) { r.data.max_length = 600; }),
            "data.max_length = 600 is longer than model.context = 512; raise the context, or leave max_length at 0");
  EXPECT_EQ(check_error("language-model", [](Recipe& r) { r.batch.context = 600; }),
            "batch.context = 600 is longer than model.context = 512; raise the model's, or leave batch.context at 0");
  EXPECT_EQ(check_error("language-model", [](Recipe& r) { r.batch.tokens = 100; }),
            "batch.tokens = 100 does not hold one sequence of 512 tokens; raise it, or lower batch.context");
}

TEST(RecipeCheck, RefusesWhatIsOfAnotherTask) {
  EXPECT_EQ(check_error("translation", [](Recipe& r) { r.batch.order = "random"; }),
            "batch.order = \"random\" is for language modelling; use shuffle or sequential");
  EXPECT_EQ(check_error("classification", [](Recipe& r) { r.data.too_long = "split"; }),
            "data.too_long = \"split\" is for language modelling; use refuse, cut or skip");
  EXPECT_EQ(check_error("language-model", [](Recipe& r) { r.training.best_by = "bleu"; }),
            "training.best_by = \"bleu\" is for task = \"translation\", and the task is \"language-model\"; use loss");
  EXPECT_EQ(check_error("translation", [](Recipe& r) { r.vocabulary.shared = false, r.model.tied = "all"; }),
            "model.tied = \"all\" needs one vocabulary; set vocabulary.shared = true, or model.tied = \"output\"");
  EXPECT_EQ(check_error("translation", [](Recipe& r) { r.vocabulary.kind = "word", r.vocabulary.sampling = 0.1; }),
            "vocabulary.sampling is for kind = \"subword\", and the kind is \"word\"; set it to 0");
  EXPECT_EQ(check_error("translation", [](Recipe& r) { r.generation.sample = true, r.generation.beams = 4; }),
            "generation.beams = 4 searches and generation.sample = true draws; choose one");
}

TEST(RecipeCheck, CarriesStatesOfRecurrentLanguageModelsAlone) {
  const auto lstm = [](Recipe& r) { r.batch.order = "stream", r.model.network = "lstm"; };
  const auto error = [&](const std::string& task, const std::function<void(Recipe&)>& change) {
    return check_error(task, [&](Recipe& r) { lstm(r), change(r); });
  };
  EXPECT_EQ(error("language-model", [](Recipe& r) { r.batch.context_jitter = 0.3; }), "no error");
  EXPECT_EQ(error("classification", [](Recipe&) {}),
            "batch.order = \"stream\" is for language modelling; use shuffle or sequential");
  EXPECT_EQ(error("language-model", [](Recipe& r) { r.model.network = "transformer"; }),
            "batch.order = \"stream\" carries the states of recurrent networks, and model.network is \"transformer\"; "
            "use shuffle or random");
  EXPECT_EQ(
      error("language-model", [](Recipe& r) { r.model.state_attention = "dot"; }),
      "batch.order = \"stream\" carries states from batch to batch, which model.state_attention = \"dot\" does not "
      "allow; set it to \"none\", or use shuffle");
  EXPECT_EQ(error("language-model", [](Recipe& r) { r.data.documents = "lines"; }),
            "batch.order = \"stream\" reads one text, and data.documents = \"lines\" has many; set it to \"stream\"");
  EXPECT_EQ(error("language-model", [](Recipe& r) { r.batch.tokens = 1000; }),
            "batch.order = \"stream\" has batch.sequences streams; leave batch.tokens = 1000 at 0");
  EXPECT_EQ(check_error("language-model", [](Recipe& r) { r.batch.context_jitter = 0.3; }),
            "batch.context_jitter is for order = \"stream\", and the order is \"shuffle\"; set it to 0");
}

TEST(RecipeCheck, DrawsASoftmaxForLanguageModelsWithoutSmoothing) {
  EXPECT_EQ(check_error("translation", [](Recipe& r) { r.training.softmax_samples = 100; }),
            "training.softmax_samples is for task = \"language-model\", and the task is \"translation\"; set it to 0");
  const auto smoothed = [](Recipe& r) { r.training.softmax_samples = 100, r.training.label_smoothing = 0.1; };
  EXPECT_EQ(
      check_error("language-model", smoothed),
      "training.label_smoothing = 0.1 is spread over the whole vocabulary, of which training.softmax_samples = 100 "
      "draws a part; set one of them to 0");
}

}  // namespace
}  // namespace heed
