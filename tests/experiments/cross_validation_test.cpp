#include "experiments/cross_validation.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <thread>

#include "experiments/small_search.h"

namespace heed::test {

namespace {

Recipe small_recipe_in(const TestFolder& folder, const std::vector<std::string>& overrides = {}) {
  put(folder / "train.txt", small_sentences());
  Recipe recipe = parse_recipe(small_classifier(), "recipe.toml", overrides);
  resolve_paths(recipe, folder.path());
  return recipe;
}

std::vector<std::string> lines_of(const std::filesystem::path& path) {
  std::vector<std::string> lines;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) lines.push_back(line);
  return lines;
}

TEST(CrossValidation, TestsEveryExampleOnceOnAModelThatNeverSawIt) {
  TestFolder folder;
  const Recipe recipe = small_recipe_in(folder, {"training.epochs=20", "training.rate=0.03"});
  const CrossValidationReport report =
      cross_validate(recipe, {.folds = 3, .group = ""}, {.folder = folder / "out", .parallel = 2, .threads = 2});
  EXPECT_FALSE(report.interrupted);
  ASSERT_EQ(report.folds.size(), 3u);
  std::multiset<std::string> tested, all;
  for (int fold = 1; fold <= 3; ++fold) {
    const auto part = folder / "out" / ("fold-" + std::to_string(fold));
    const auto train = lines_of(part / "train.jsonl"), test = lines_of(part / "test.jsonl");
    EXPECT_EQ(test.size(), 20u);
    EXPECT_EQ(train.size(), 40u);
    tested.insert(test.begin(), test.end());
    for (const std::string& line : test)
      EXPECT_EQ(nlohmann::json::parse(line)["label"] == "good", line.find("fine") != std::string::npos);
    std::multiset<std::string> both(train.begin(), train.end());
    both.insert(test.begin(), test.end());
    if (fold == 1) all = both;
    EXPECT_EQ(both, all);
  }
  EXPECT_EQ(tested, all);
  const MeanInterval& accuracy = report.measures.at("accuracy");
  EXPECT_GT(accuracy.mean, 0.95);
  double mean = 0.0;
  for (const FoldResult& fold : report.folds) mean += fold.measures.at("accuracy") / 3.0;
  EXPECT_NEAR(accuracy.mean, mean, 1e-12);
  expect_error("go on with --resume",
               [&] { cross_validate(recipe, {.folds = 3, .group = ""}, {.folder = folder / "out"}); });
  expect_error("of another recipe or other folds",
               [&] { cross_validate(recipe, {.folds = 4, .group = ""}, {.folder = folder / "out", .resume = true}); });
}

TEST(CrossValidation, AfterAKillGivesTheSame) {
  TestFolder folder;
  const Recipe recipe = small_recipe_in(folder, {"training.checkpoint_every=1"});
  const CrossValidation how{.folds = 3, .group = ""};
  const CrossValidationReport whole = cross_validate(recipe, how, {.folder = folder / "whole", .threads = 1});
  const pid_t child = ::fork();
  if (child == 0) {
    try {
      cross_validate(recipe, how, {.folder = folder / "killed", .threads = 1});
    } catch (...) {
    }
    ::_exit(0);
  }
  for (int i = 0;
       i < 20'000 && !std::filesystem::exists(folder / "killed" / "fold-2" / "checkpoint" / "last.safetensors"); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  const CrossValidationReport again =
      cross_validate(recipe, how, {.folder = folder / "killed", .threads = 1, .resume = true});
  ASSERT_EQ(again.folds.size(), 3u);
  for (std::size_t fold = 0; fold < 3; ++fold) EXPECT_EQ(again.folds[fold].measures, whole.folds[fold].measures);
}

TEST(CrossValidation, TakesFilesAsFoldsAndNamesAnAbsentClass) {
  TestFolder folder;
  Recipe recipe = small_recipe_in(folder);
  put(folder / "a.txt", small_sentences());
  put(folder / "b.txt", small_sentences());
  recipe.data.train = {(folder / "a.txt").string(), (folder / "b.txt").string()};
  const CrossValidationReport report =
      cross_validate(recipe, {.folds = 0, .group = ""}, {.folder = folder / "out", .threads = 1});
  ASSERT_EQ(report.folds.size(), 2u);
  EXPECT_EQ(report.folds[0].name, "a.txt");
  EXPECT_EQ(report.folds[0].examples, 60);
  put(folder / "c.txt", "good what a fine day\n");
  recipe.data.train.push_back((folder / "c.txt").string());
  expect_error("c.txt has no example of the class \"bad\"",
               [&] { cross_validate(recipe, {.folds = 0, .group = ""}, {.folder = folder / "other"}); });
  recipe.data.train.resize(1);
  expect_error("data.train names 1 file",
               [&] { cross_validate(recipe, {.folds = 0, .group = ""}, {.folder = folder / "other"}); });
  EXPECT_FALSE(std::filesystem::exists(folder / "other"));
}

TEST(CrossValidation, KeepsTheExamplesOfAColumnTogether) {
  TestFolder folder;
  Recipe recipe = small_recipe_in(folder);
  std::string table = "text\tlabel\tauthor\n";
  for (int i = 0; i < 60; ++i)
    table += format("what a {} day of {}\t{}\tauthor {}\n", i % 2 == 0 ? "fine" : "dull", i % 12,
                    i % 2 == 0 ? "good" : "bad", i % 12);
  put(folder / "data.tsv", table);
  recipe.data.train = {(folder / "data.tsv").string()};
  recipe.data.format = "tsv";
  cross_validate(recipe, {.folds = 3, .group = "author"}, {.folder = folder / "out", .threads = 1});
  std::map<std::string, int> fold_of;  // the number at the end of a text is its author's
  for (int fold = 1; fold <= 3; ++fold)
    for (const std::string& line : lines_of(folder / "out" / format("fold-{}", fold) / "test.jsonl")) {
      const std::string text = nlohmann::json::parse(line)["text"];
      EXPECT_EQ(fold_of.emplace(text.substr(text.rfind(' ')), fold).first->second, fold) << text;
    }
  EXPECT_EQ(fold_of.size(), 12u);
}

TEST(CrossValidation, OfATextTakesBlocksOfLines) {
  TestFolder folder;
  std::string text;
  for (int i = 0; i < 60; ++i) text += format("line {} of a text\n", i);
  put(folder / "text.txt", text);
  Recipe recipe = parse_recipe(
      "task = \"language-model\"\n[data]\ntrain = \"text.txt\"\n[vocabulary]\nkind = \"character\"\n[batch]\nsequences "
      "= 4\ncontext = 16\n"
      "[model]\nkind = \"decoder\"\nwidth = 8\nheads = 2\nlayers = 1\ncontext = 16\n[training]\nsteps = 4\n",
      "recipe.toml");
  resolve_paths(recipe, folder.path());
  const CrossValidationReport report =
      cross_validate(recipe, {.folds = 3, .group = ""}, {.folder = folder / "out", .threads = 1});
  EXPECT_EQ(lines_of(folder / "out" / "fold-2" / "test.txt").front(), "line 20 of a text");
  EXPECT_TRUE(report.measures.contains("perplexity"));
}

TEST(CrossValidation, RefusesAClassThatAFoldLacks) {
  TestFolder folder;
  const Recipe recipe = small_recipe_in(folder);
  put(folder / "train.txt", small_sentences() + "odd what a strange day\nodd what a strange night\n");
  expect_error("has no example of the class \"odd\", which has 2 in all",
               [&] { cross_validate(recipe, {.folds = 3, .group = ""}, {.folder = folder / "out"}); });
}

}  // namespace

}  // namespace heed::test
