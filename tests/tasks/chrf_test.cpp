#include "tasks/chrf.h"

#include <gtest/gtest.h>
#include <heed/error.h>

#include "tasks/metric_cases.h"

namespace heed {
namespace {

using nlohmann::json;

void set_option(ChrfOptions& options, const std::string& name, const json& value) {
  if (name == "char_order")
    options.char_order = value;
  else if (name == "word_order")
    options.word_order = value;
  else if (name == "beta")
    options.beta = value;
  else if (name == "lowercase")
    options.lowercase = value;
  else if (name == "whitespace")
    options.whitespace = value;
  else if (name == "remove_whitespace")
    options.whitespace = !value.get<bool>();
  else if (name == "eps_smoothing")
    options.eps_smoothing = value;
  else
    ADD_FAILURE() << "unknown option " << name;
}

void expect_corpus_score(const json& one, ChrfOptions options) {
  for_each_option(one, [&](const auto& name, const json& value) { set_option(options, name, value); });
  EXPECT_NEAR(corpus_chrf(one.at("hyps").get<Lines>(), one.at("refs").get<ReferenceSets>(), options),
              one.at("expected").get<double>(), 1e-4);
}

TEST(Chrf, EqualsEveryCaseOfSacrebleu) {
  run_metric_cases(
      "chrf",
      {{"corpus (char_order 6, word_order 0, beta 3, eps_smoothing true)",
        [](const json& one) { expect_corpus_score(one, {.beta = 3, .eps_smoothing = true}); }},
       {"corpus effective order (eps_smoothing false)", [](const json& one) { expect_corpus_score(one, {.beta = 3}); }},
       {"corpus keep whitespace (remove_whitespace false, beta 3)",
        [](const json& one) { expect_corpus_score(one, {.beta = 3, .whitespace = true}); }},
       {"sentence (defaults: char_order 6, word_order 0, beta 2; eps_smoothing true)", [](const json& one) {
          EXPECT_NEAR(
              sentence_chrf(one.at("hyp").get<std::string>(), one.at("refs").get<Lines>(), {.eps_smoothing = true}),
              one.at("expected").get<double>(), 1e-6);
        }}});
}

TEST(Chrf, IsTheFScoreOfMeanPrecisionAndMeanRecall) {
  // Characters 2/3 and 2/2, pairs 1/2 and 1/1: precision 7/12, recall 1; F2 = 5pr / (4p + r) = 35/40.
  EXPECT_NEAR(sentence_chrf("abc", {"ab"}, {.char_order = 2}), 87.5, 1e-10);
  // Each order by itself: 5·(2/3)/(4·2/3 + 1) = 10/11, 5·(1/2)/(4/2 + 1) = 5/6.
  EXPECT_NEAR(sentence_chrf("abc", {"ab"}, {.char_order = 2, .eps_smoothing = true}), 50 * (10 / 11.0 + 5 / 6.0),
              1e-10);
}

TEST(Chrf, CountsCodePointsAndNotBytes) {
  // One of two characters on either side; é and è share a byte, which must not help.
  EXPECT_NEAR(sentence_chrf("éa", {"èa"}, {.char_order = 1}), 50, 1e-10);
}

TEST(Chrf, WithWordsCutsOnePunctuationMarkOff) {
  EXPECT_NEAR(sentence_chrf("dogs.", {"dogs"}, {.char_order = 0, .word_order = 1}), 100 * 5 * 0.5 / 3, 1e-10);
  EXPECT_NEAR(sentence_chrf("(dogs", {"dogs"}, {.char_order = 0, .word_order = 1}), 100 * 5 * 0.5 / 3, 1e-10);
  EXPECT_EQ(sentence_chrf("((dogs", {"dogs"}, {.char_order = 0, .word_order = 1}), 0);
}

TEST(Chrf, TakesASentencesBestReference) {
  EXPECT_NEAR(corpus_chrf({"a cat", "a dog"}, {{"a cat", "zzz"}, {"xxx", "a dog"}}), 100, 1e-10);
}

TEST(Chrf, SaysHowItWasMade) {
  EXPECT_EQ((ChrfOptions{.word_order = 2, .lowercase = true}).signature(1),
            "nrefs:1|case:lc|eff:yes|nc:6|nw:2|space:no");
}

TEST(Chrf, RefusesWrongLengthsAndOrders) {
  EXPECT_THROW(corpus_chrf({"a", "b"}, {{"a"}}), Error);
  EXPECT_THROW(sentence_chrf("a", {}), Error);
  EXPECT_THROW(sentence_chrf("a", {"a"}, {.char_order = 0}), Error);
}

}  // namespace
}  // namespace heed
