#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "cli/command.h"

namespace heed::testing {
namespace {

TEST(Quickstart, MakesACorpusTrainsTranslatesShowsWhereItLookedAndSaysWhatNext) {
  const Workplace here;
  const Result result = here.heed("quickstart --steps 60 --json --threads 2");
  ASSERT_EQ(result.exit_code, 0) << result.err;

  const auto report = nlohmann::json::parse(result.out);
  EXPECT_EQ(report.at("steps"), 60);
  EXPECT_EQ(report.at("pairs"), 500);
  EXPECT_GE(report.at("exact_match").get<double>(), 0.0);
  const std::string corpus = here.read("quickstart/corpus/train.tsv");
  EXPECT_EQ(std::count(corpus.begin(), corpus.end(), '\n'), 1 + 6000);  // a line of titles before them
  for (const char* part :
       {"6,000 pairs to learn from", "of 500 answers are right", "Where it looked", "What to try next"})
    EXPECT_NE(result.err.find(part), std::string::npos) << part << " is not in: " << result.err;
  EXPECT_NE(here.read(report.at("attention")).find("<svg"), std::string::npos);

  const Result translated = here.heed("run '" + report.at("model").get<std::string>() + "' 'words: 2048'");
  EXPECT_EQ(translated.exit_code, 0) << translated.err;
  EXPECT_EQ(std::count(translated.out.begin(), translated.out.end(), '\n'), 1);
}

TEST(Quickstart, ReplacesNoFolderThatAnotherMade) {
  const Workplace here;
  std::filesystem::create_directory(here.path() / "quickstart");
  here.write("quickstart/letter.txt", "dear Ada");
  const Result result = here.heed("quickstart --steps 1");
  EXPECT_EQ(result.exit_code, 1) << result.err;
  EXPECT_NE(result.err.find("heed: quickstart: "), std::string::npos) << result.err;
  EXPECT_EQ(here.read("quickstart/letter.txt"), "dear Ada");
}

}  // namespace
}  // namespace heed::testing
