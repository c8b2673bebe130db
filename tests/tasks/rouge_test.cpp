#include "tasks/rouge.h"

#include <gtest/gtest.h>
#include <heed/error.h>

#include "tasks/metric_cases.h"
#include "tasks/porter_stemmer.h"

namespace heed {
namespace {

using nlohmann::json;

/// A file of cases beside sacreBLEU's.
json cases(const char* name) {
  std::ifstream file(metric_cases_path().parent_path() / name);
  return file ? json::parse(file) : json();
}

PrecisionRecall score(const std::string& name, const std::string& hypothesis, const std::string& reference) {
  const RougeOptions options{.stem = name.ends_with("_stem")};
  const std::string kind = name.substr(0, name.find('_'));
  if (kind == "rougeL" || kind == "rouge-l") return rouge_l(hypothesis, reference, options);
  if (kind == "rougeLsum") return rouge_l_sum(hypothesis, reference, options);
  return rouge_n(hypothesis, reference, kind.back() - '0', options);
}

void expect_scores(const PrecisionRecall& found, const json& precision, const json& recall, const json& f1,
                   double tolerance) {
  EXPECT_NEAR(found.precision, precision.get<double>(), tolerance);
  EXPECT_NEAR(found.recall, recall.get<double>(), tolerance);
  EXPECT_NEAR(found.f1, f1.get<double>(), tolerance);
}

TEST(Rouge, EqualsTheCasesOfGoogleResearchAndOfRouge155) {
  const json all = cases("rouge_cases.json");
  if (all.is_null()) GTEST_SKIP() << "no rouge_cases.json beside " << metric_cases_path();
  const auto expect = [](const std::string& name, const json& one, const json& wanted, double tolerance) {
    SCOPED_TRACE(name + " of " + one.dump());
    expect_scores(score(name, one.at("prediction"), one.at("target")), wanted.at("precision"), wanted.at("recall"),
                  wanted.at("fmeasure"), tolerance);
  };
  for (const json& one : all.at("simple")) expect(one.at("type"), one, one.at("expected"), 1e-12);
  for (const json& one : all.at("rouge155"))
    for (const auto& [name, wanted] : one.at("expected").items()) expect(name, one, wanted, 5e-6);
}

TEST(Rouge, EqualsTheDocumentsOfRougeMetric) {
  const json all = cases("rouge_documents.json");
  if (all.is_null()) GTEST_SKIP() << "no rouge_documents.json beside " << metric_cases_path();
  const auto text = [](const json& sentences) {
    std::string joined;
    for (const json& sentence : sentences) joined += sentence.get<std::string>() + "\n";
    return joined;
  };
  for (const json& document : all.at("documents")) {
    const std::string hypothesis = text(document.at("hyp_sentences")), reference = text(document.at("ref_sentences"));
    for (const auto& [name, wanted] : document.at("expected_summary_level").items()) {
      SCOPED_TRACE(name + " of " + document.dump());
      const PrecisionRecall found = name == "rouge-w-1.2" ? rouge_w(hypothesis, reference)
                                    : name == "rouge-l"   ? rouge_l_sum(hypothesis, reference)
                                                          : score(name, hypothesis, reference);
      expect_scores(found, wanted.at("p"), wanted.at("r"), wanted.at("f"), 1e-9);
    }
    for (const json& one : document.at("sentence_level"))
      for (const auto& [name, wanted] : one.at("expected").items())
        expect_scores(score(name, one.at("hyp"), one.at("ref")), wanted.at("p"), wanted.at("r"), wanted.at("f"), 1e-9);
  }
}

TEST(Rouge, OfSeveralReferencesTakesTheBestOfEachMeasure) {
  const RougeScores scores = rouge("a b c d", {"d c b a", "a b x y"});
  EXPECT_EQ(scores.rouge_1.f1, 1);
  EXPECT_NEAR(scores.rouge_2.f1, 1 / 3.0, 1e-15);
  EXPECT_EQ(scores.rouge_l.f1, 0.5);
}

TEST(Rouge, OfACorpusIsTheMeanOfItsTexts) {
  const RougeScores scores = corpus_rouge({"a b", "c"}, {{"a b"}, {"x", "y"}});
  EXPECT_EQ(scores.rouge_1.f1, 0.5);
  EXPECT_EQ(scores.rouge_2.recall, 0.5);
}

TEST(Rouge, NamesWhatIsMissing) {
  EXPECT_THROW(corpus_rouge({"a"}, {}), Error);
  EXPECT_THROW(corpus_rouge({}, {}), Error);
  EXPECT_THROW(rouge("a", {}), Error);
  EXPECT_THROW(rouge_n("a", "a", 0), Error);
  EXPECT_THROW(rouge_w("a", "a", 0.5), Error);
}

TEST(PorterStemmer, StemsAsNltkDoes) {
  const std::map<std::string, std::string> stems{{"caresses", "caress"},
                                                 {"ponies", "poni"},
                                                 {"ties", "tie"},
                                                 {"cats", "cat"},
                                                 {"feed", "feed"},
                                                 {"agreed", "agre"},
                                                 {"plastered", "plaster"},
                                                 {"motoring", "motor"},
                                                 {"sing", "sing"},
                                                 {"conflated", "conflat"},
                                                 {"hopping", "hop"},
                                                 {"falling", "fall"},
                                                 {"filing", "file"},
                                                 {"happy", "happi"},
                                                 {"sky", "sky"},
                                                 {"relational", "relat"},
                                                 {"rational", "ration"},
                                                 {"digitizer", "digit"},
                                                 {"vietnamization", "vietnam"},
                                                 {"triplicate", "triplic"},
                                                 {"hopefulness", "hope"},
                                                 {"adjustable", "adjust"},
                                                 {"adoption", "adopt"},
                                                 {"probate", "probat"},
                                                 {"controll", "control"},
                                                 {"dying", "die"},
                                                 {"spied", "spi"},
                                                 {"geology", "geolog"},
                                                 {"skies", "sky"},
                                                 {"enjoy", "enjoy"},
                                                 {"thankfully", "thank"},
                                                 {"is", "is"},
                                                 {"", ""}};
  for (const auto& [word, stem] : stems) EXPECT_EQ(porter_stem(word), stem) << word;
}

}  // namespace
}  // namespace heed
