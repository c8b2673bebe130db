#include "tasks/ter.h"

#include <gtest/gtest.h>
#include <heed/error.h>

#include "tasks/metric_cases.h"

namespace heed {
namespace {

using nlohmann::json;

void set_option(TerOptions& options, const std::string& name, bool value) {
  if (name == "normalized")
    options.normalized = value;
  else if (name == "no_punct")
    options.remove_punctuation = value;
  else if (name == "asian_support")
    options.asian_support = value;
  else if (name == "case_sensitive")
    options.case_sensitive = value;
  else
    ADD_FAILURE() << "unknown option " << name;
}

TEST(Ter, EqualsEveryCaseOfSacrebleu) {
  run_metric_cases("ter",
                   {{"", [](const json& one) {
                       TerOptions options;
                       for_each_option(one, [&](const auto& name, bool value) { set_option(options, name, value); });
                       EXPECT_NEAR(
                           corpus_ter(one.at("hyps").get<Lines>(), one.at("refs").get<ReferenceSets>(), options) / 100,
                           one.at("expected").get<double>(), 1e-3);
                     }}});
}

TEST(TercomTokenizer, EqualsEveryCaseOfSacrebleu) {
  const auto expect = [](TerOptions options) {
    return [options](const json& one) {
      EXPECT_EQ(tokenize_tercom(one.at(0).get<std::string>(), options), one.at(1).get<std::string>());
    };
  };
  run_metric_cases("ter_tokenizer", {{"default", expect({})},
                                     {"no_punct", expect({.remove_punctuation = true})},
                                     {"normalized", expect({.normalized = true})},
                                     {"normalized+asian", expect({.normalized = true, .asian_support = true})}});
}

TEST(TercomTokenizer, CutsPossessivesAndPunctuationWhenNormalized) {
  EXPECT_EQ(tokenize_tercom("Ann's  CAT, 3.5", {}), "ann's cat, 3.5");
  EXPECT_EQ(tokenize_tercom("Ann's CAT, 3.5", {.case_sensitive = true, .normalized = true}), "Ann 's CAT , 3.5");
  EXPECT_EQ(tokenize_tercom("(No!) \"yes\"; it's", {.remove_punctuation = true}), "no yes it's");
  EXPECT_EQ(tokenize_tercom("很好。カナ", {.normalized = true, .asian_support = true}), "很 好 。 カナ");
  EXPECT_EQ(tokenize_tercom("很好。", {.remove_punctuation = true, .asian_support = true}), "很好");
}

TEST(Ter, CountsEachKindOfEditOnce) {
  EXPECT_DOUBLE_EQ(sentence_ter("a b c d", {"a b c d"}), 0);
  EXPECT_DOUBLE_EQ(sentence_ter("a b x d", {"a b c d"}), 25);
  EXPECT_DOUBLE_EQ(sentence_ter("a b d", {"a b c d"}), 25);
  EXPECT_DOUBLE_EQ(sentence_ter("a b c c d", {"a b c d"}), 25);
  EXPECT_DOUBLE_EQ(sentence_ter("d e f g h a b c", {"a b c d e f g h"}), 12.5);
}

TEST(Ter, ShiftsNoMoreThanTenWordsAtOnce) {
  // Eleven words before two others: the two move, in one shift, where eleven could not.
  EXPECT_DOUBLE_EQ(sentence_ter("1 2 3 4 5 6 7 8 9 10 11 x y", {"x y 1 2 3 4 5 6 7 8 9 10 11"}), 100 / 13.0);
  // Of two blocks of eleven neither can move at once.
  EXPECT_GT(
      sentence_ter("1 2 3 4 5 6 7 8 9 10 11 a b c d e f g h i j k", {"a b c d e f g h i j k 1 2 3 4 5 6 7 8 9 10 11"}),
      100 / 22.0);
}

TEST(Ter, DividesByTheMeanLengthOfReferencesAndTakesTheFewestEdits) {
  EXPECT_DOUBLE_EQ(corpus_ter({"a b c d e"}, {{"a b c d"}, {""}}), 50);
}

TEST(Ter, OfEmptyTextsIsDefined) {
  EXPECT_EQ(sentence_ter("", {""}), 0);
  EXPECT_EQ(sentence_ter("a b", {""}), 100);
  EXPECT_EQ(sentence_ter("", {"a b"}), 100);
}

TEST(Ter, StaysWithinItsTriesOnLongRepetitiveTexts) {
  std::string hypothesis, reference;
  for (int i = 0; i < 200; ++i) {
    hypothesis += i % 3 ? "a " : "b ";
    reference += i % 5 ? "b " : "a ";
  }
  EXPECT_DOUBLE_EQ(sentence_ter(hypothesis, {reference}), 54);  // sacreBLEU's figure
}

TEST(Ter, TakesTextsOfVeryDifferentLengths) {
  std::string longer = "x";
  for (int i = 0; i < 300; ++i) longer += " y";
  // 299 insertions would do, but the x lies outside the beam.
  EXPECT_DOUBLE_EQ(sentence_ter("x y", {longer}), 100 * 300 / 301.0);
  EXPECT_DOUBLE_EQ(sentence_ter(longer, {"x y"}), 100 * 299 / 2.0);
}

TEST(Ter, SaysHowItWasMade) { EXPECT_EQ(ter_signature(1), "nrefs:1|case:lc|tok:tercom|norm:no|punct:yes|asian:no"); }

TEST(Ter, RefusesWrongLengths) {
  EXPECT_THROW(corpus_ter({"a", "b"}, {{"a"}}), Error);
  EXPECT_THROW(sentence_ter("a", {}), Error);
}

}  // namespace
}  // namespace heed
