#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "cli/command.h"

namespace heed::testing {
namespace {

std::string classifier() {
  return "task = \"classification\"\n[data]\ntrain = \"train.txt\"\nvalidation_split = 0.2\n[vocabulary]\nkind = "
         "\"word\"\n[batch]\nsequences = 8\n"
         "[model]\nkind = \"encoder\"\nwidth = 8\nheads = 2\nlayers = 1\ncontext = 16\ndropout = "
         "0.0\n[training]\nepochs = 4\nrate = 0.01\n";
}

std::string sentences() {
  std::string text;
  for (int i = 0; i < 25; ++i) text += "good what a fine film\nbad what a dull film\n";
  return text;
}

void expect_sentence(const Result& result, const std::string& part) {
  EXPECT_EQ(result.exit_code, 1) << result.err;
  EXPECT_EQ(result.out, "");
  EXPECT_NE(result.err.find(part), std::string::npos) << part << " is not in: " << result.err;
  EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
}

TEST(Crossval, PrintsFoldsMeanAndInterval) {
  const Workplace place;
  place.write("train.txt", sentences());
  place.write("recipe.toml", classifier());
  const Result found = place.heed("crossval recipe.toml --folds 3 --parallel 2 --out cv --json");
  ASSERT_EQ(found.exit_code, 0) << found.err;
  const auto json = nlohmann::json::parse(found.out);
  EXPECT_EQ(json["folds"].size(), 3u);
  const auto& accuracy = json["measures"]["accuracy"];
  EXPECT_LE(accuracy["low"], accuracy["mean"]);
  EXPECT_GE(accuracy["high"], accuracy["mean"]);
  expect_sentence(place.heed("crossval recipe.toml --folds 3 --out cv"), "go on with --resume");
  const Result again = place.heed("crossval recipe.toml --folds 3 --out cv --resume");
  EXPECT_EQ(again.exit_code, 0) << again.err;
  EXPECT_NE(again.out.find("standard deviation"), std::string::npos);
  EXPECT_EQ(place.heed("run cv/fold-1 'what a fine film'").out.rfind("good\t", 0), 0u);
}

TEST(Crossval, SaysWhatIsWrongInASentence) {
  const Workplace place;
  place.write("train.txt", sentences() + "odd what a strange film\n");
  place.write("recipe.toml", classifier());
  expect_sentence(place.heed("crossval recipe.toml --folds 3"), "no example of the class \"odd\"");
  expect_sentence(place.heed("crossval recipe.toml --folds many"), "expected a number of 2 or more");
  expect_sentence(place.heed("crossval recipe.toml --folds files"), "data.train names 1 file");
  EXPECT_EQ(place.heed("crossval recipe.toml").exit_code, 2);
}

TEST(Search, PrintsATableAndWritesAPage) {
  const Workplace place;
  place.write("train.txt", sentences());
  place.write("recipe.toml", classifier());
  place.write("space.toml",
              "recipe = \"recipe.toml\"\n[search]\ntrials = 4\nreduction = 2\nobjectives = [\"loss\", "
              "\"parameters\"]\n[space]\nmodel.layers = [1, 2]\n"
              "model.pooling = [\"mean\", \"max\"]\ntraining.rate = { from = 0.001, to = 0.03, scale = \"log\" }\n");
  const Result found = place.heed("search space.toml --out out --report page.html");
  ASSERT_EQ(found.exit_code, 0) << found.err;
  EXPECT_NE(found.out.find("4 trials"), std::string::npos) << found.out;
  EXPECT_EQ(place.read("page.html").rfind("<!DOCTYPE html>", 0), 0u);
  const Result shown = place.heed("search out --json");
  ASSERT_EQ(shown.exit_code, 0) << shown.err;
  const auto json = nlohmann::json::parse(shown.out);
  ASSERT_EQ(json["trials"].size(), 4u);
  EXPECT_TRUE(json["trials"][0]["front"]);
  const std::string best = std::to_string(json["trials"][0]["trial"].get<int>());
  EXPECT_EQ(place.heed("eval out/trial-000" + best + " --data train.txt").exit_code, 0) << place.read("err.txt");
  // Another space does not mix with these trials; a damaged file is named.
  place.write("other.toml",
              "recipe = \"recipe.toml\"\n[search]\nobjectives = \"loss\"\n[space]\nmodel.layers = [1, 3]\n");
  const Result other = place.heed("search other.toml --out out");
  EXPECT_EQ(other.exit_code, 1);
  EXPECT_NE(other.err.find("the trials of another space"), std::string::npos) << other.err;
  place.write("out/trials.sqlite", std::string(9000, '#'));
  expect_sentence(place.heed("search out"), "the trials file is damaged");
}

TEST(Search, AnInterruptedOneGoesOn) {
  const Workplace place;
  place.write("train.txt", sentences());
  place.write("recipe.toml", classifier());
  place.write("space.toml",
              "recipe = \"recipe.toml\"\n[search]\nstrategy = \"random\"\ntrials = 2\nobjectives = "
              "\"loss\"\n[set]\ntraining.epochs = 1000000\n"
              "[space]\nmodel.layers = [1, 2]\n");
  const Result stopped = place.heed("search space.toml --out out", "timeout --foreground -s INT 3");
  EXPECT_NE(stopped.err.find("interrupted; the same command goes on"), std::string::npos) << stopped.err;
  const Result limited = place.heed("search space.toml --out out --minutes 0.01");
  EXPECT_EQ(limited.exit_code, 0) << limited.err;
  EXPECT_NE(limited.err.find("trial 1 (goes on)"), std::string::npos) << limited.err;
  EXPECT_NE(limited.err.find("ended by minutes"), std::string::npos) << limited.err;
}

TEST(Search, SaysWhatIsWrongInASentence) {
  const Workplace place;
  place.write("train.txt", sentences());
  place.write("recipe.toml", classifier());
  place.write("space.toml", "recipe = \"recipe.toml\"\n[space]\nmodel.layer = [1, 2]\n");
  expect_sentence(place.heed("search space.toml"), "did you mean model.layers? (space.toml, line 3, column 7)");
  expect_sentence(place.heed("search missing.toml"), "cannot read the space file missing.toml");
  EXPECT_EQ(place.heed("search").exit_code, 2);
  EXPECT_NE(place.heed("search --help-space").out.find("[space]"), std::string::npos);
}

}  // namespace
}  // namespace heed::testing
