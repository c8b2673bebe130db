#include "tasks/bleu.h"

#include <gtest/gtest.h>
#include <heed/error.h>

#include <cmath>

#include "tasks/metric_cases.h"
#include "tasks/metric_tokenizers.h"

namespace heed {
namespace {

using nlohmann::json;

const Lines dog{"The dog bit the man.", "It wasn't surprising.", "The man had just bitten him."};
const ReferenceSets dog_references{
    {"The dog bit the man.", "It was not unexpected.", "The man bit him first."},
    {"The dog had bit the man.", "No one was surprised.", "The man had bitten the dog."}};

void set_option(BleuOptions& options, const std::string& name, const json& value) {
  const std::map<std::string, BleuTokenizer> tokenizers{{"13a", BleuTokenizer::mteval_13a},
                                                        {"intl", BleuTokenizer::international},
                                                        {"char", BleuTokenizer::characters},
                                                        {"none", BleuTokenizer::none}};
  const std::map<std::string, BleuSmoothing> smoothings{{"exp", BleuSmoothing::exponential},
                                                        {"floor", BleuSmoothing::floor},
                                                        {"add-k", BleuSmoothing::add_k},
                                                        {"none", BleuSmoothing::none}};
  if (value.is_null()) return;
  if (name == "tokenize")
    options.tokenizer = tokenizers.at(value);
  else if (name == "smooth_method")
    options.smoothing = smoothings.at(value);
  else if (name == "smooth_value")
    options.smoothing_value = value.get<double>();
  else if (name == "lowercase")
    options.lowercase = value.get<bool>();
  else if (name == "effective_order" || name == "use_effective_order")
    options.effective_order = value.get<bool>();
  else if (name == "max_ngram_order")
    options.max_order = value.get<int>();
  else if (name != "force")
    ADD_FAILURE() << "unknown option " << name;
}

/// sacreBLEU's raw_corpus_bleu.
BleuOptions raw(double floor = 0.01) {
  return {.tokenizer = BleuTokenizer::none,
          .smoothing = BleuSmoothing::floor,
          .smoothing_value = floor,
          .effective_order = true};
}

Bleu score(const json& one, const BleuOptions& options) {
  return corpus_bleu(one.at("hyps").get<Lines>(), one.at("refs").get<ReferenceSets>(), options);
}

BleuStatistics statistics(const json& one) {
  return {.matches = one.at("stats").at("common"),
          .totals = one.at("stats").at("total"),
          .hypothesis_length = one.at("hyp_len"),
          .reference_length = one.at("ref_len")};
}

void expect_raw_score(const json& one) {
  EXPECT_NEAR(score(one, raw()).score / 100, one.at("expected").get<double>(), 1e-8);
}

void expect_sentence_score(const json& one) {
  BleuOptions options{.effective_order = true};
  const json& fields = one.at("case");
  for (size_t i = 0; const char* name : {"smooth_method", "smooth_value", "lowercase", "tokenize"})
    set_option(options, name, fields.at(i++));
  const Bleu bleu = sentence_bleu(one.at("of").at("sys").get<std::string>(), {one.at("of").at("ref")}, options);
  EXPECT_NEAR(bleu.score, fields.at(4).get<double>(), 1e-3);
}

TEST(Bleu, EqualsEveryCaseOfSacrebleu) {
  run_metric_cases(
      "bleu", {{"raw_corpus (tokenize none, smooth floor 0.01; expected is 0..1)", expect_raw_score},
               {"corpus (default 13a, smooth exp, unless kwargs; expected 0..100)",
                [](const json& one) {
                  BleuOptions options;
                  for_each_option(one, [&](const auto& name, const json& value) { set_option(options, name, value); });
                  EXPECT_NEAR(score(one, options).score, one.at("expected").get<double>(), 1e-6);
                }},
               {"effective order via raw_corpus_bleu (floor 0.01; 0..1)", expect_raw_score},
               {"statistics (raw_corpus_bleu floor 0.01)",
                [](const json& one) {
                  const Lines hypotheses = one.at("hyps");
                  const ReferenceSets references = one.at("refs");
                  BleuStatistics sum;
                  for (size_t i = 0; i < hypotheses.size(); ++i) {
                    std::vector<std::string_view> lines;
                    for (const Lines& set : references) lines.push_back(set.at(i));
                    sum += bleu_statistics(hypotheses[i], lines, raw());
                  }
                  EXPECT_EQ(json(sum.matches), one.at("expected").at("common"));
                  EXPECT_EQ(json(sum.totals), one.at("expected").at("total"));
                }},
               {"scoring from statistics: [stats, hyp_len, ref_len] -> 0..1",
                [](const json& one) {
                  EXPECT_NEAR(bleu_from_statistics(statistics(one)).score / 100, one.at("expected").get<double>(),
                              1e-8);
                }},
               {"offset (floor smoothing 0.1 / 0.0; 0..1)",
                [](const json& one) {
                  EXPECT_NEAR(score(one, raw(0.1)).score / 100, one.at("expected_floor_0.1").get<double>(), 1e-8);
                  EXPECT_NEAR(score(one, raw(0)).score / 100, one.at("expected_floor_0").get<double>(), 1e-8);
                }},
               {"degenerate statistics (floor)",
                [](const json& one) {
                  const BleuOptions options{.smoothing = BleuSmoothing::floor,
                                            .smoothing_value = one.at("offset").get<double>()};
                  EXPECT_NEAR(bleu_from_statistics(statistics(one), options).score / 100,
                              one.at("expected").get<double>(), 1e-8);
                }},
               {"max n-gram order (2 decimals)",
                [](const json& one) {
                  EXPECT_NEAR(score(one, {.max_order = one.at("order")}).score,
                              std::stod(one.at("expected").get<std::string>()), 0.005 + 1e-9);
                }},
               {"sentence (effective_order true; fields smooth_method, smooth_value, lowercase, tokenize; 0..100)",
                expect_sentence_score},
               {"sentence, zero", expect_sentence_score}});
}

TEST(Bleu, IsTheGeometricMeanOfClippedPrecisionsTimesTheBrevityPenalty) {
  // Words 6/6, pairs 4/5, triples 2/4, fours 1/3; six words of seven.
  const Bleu bleu = corpus_bleu({"a b c d f e"}, {{"a b c d e f e"}}, {.tokenizer = BleuTokenizer::none});
  EXPECT_EQ(bleu.precisions.size(), 4u);
  EXPECT_DOUBLE_EQ(bleu.precisions[0], 100);
  EXPECT_DOUBLE_EQ(bleu.precisions[1], 80);
  EXPECT_DOUBLE_EQ(bleu.precisions[2], 50);
  EXPECT_NEAR(bleu.precisions[3], 100 / 3.0, 1e-12);
  EXPECT_DOUBLE_EQ(bleu.brevity_penalty, std::exp(1 - 7 / 6.0));
  EXPECT_NEAR(bleu.score, bleu.brevity_penalty * 100 * std::pow(1 * 0.8 * 0.5 / 3, 0.25), 1e-10);
}

TEST(Bleu, CountsAWordNoOftenerThanOneReferenceHasIt) {
  const BleuStatistics statistics = bleu_statistics("the the the the", {"the cat", "the the mat"});
  EXPECT_EQ(statistics.matches, (std::vector<int64_t>{2, 1, 0, 0}));
  EXPECT_EQ(statistics.totals, (std::vector<int64_t>{4, 3, 2, 1}));
}

TEST(Bleu, TakesTheShorterOfTwoReferencesAsNearInLength) {
  EXPECT_EQ(bleu_statistics("a b c", {"a b c d", "a b"}).reference_length, 2);
}

TEST(Bleu, PrintsAsSacrebleuDoes) {
  EXPECT_EQ(corpus_bleu(dog, dog_references).text(),
            "BLEU = 48.53 82.4/50.0/45.5/37.5 (BP = 0.943 ratio = 0.944 hyp_len = 17 ref_len = 18)");
  EXPECT_EQ(BleuOptions{}.signature(2), "nrefs:2|case:mixed|eff:no|tok:13a|smooth:exp");
  EXPECT_EQ((BleuOptions{.tokenizer = BleuTokenizer::characters, .smoothing = BleuSmoothing::add_k, .lowercase = true})
                .signature(1),
            "nrefs:1|case:lc|eff:no|tok:char|smooth:add-k[1.00]");
}

TEST(Bleu, OfAnEmptyHypothesisIsZero) {
  EXPECT_EQ(corpus_bleu({""}, {{"a b c d"}}).score, 0);
  EXPECT_EQ(sentence_bleu("", {""}).score, 0);
  EXPECT_EQ(sentence_bleu("a", {"b"}).score, 0);
}

TEST(Bleu, LowercasesBeyondAscii) {
  EXPECT_NEAR(sentence_bleu("ΟΔΟΣ ÜBER ЖУК İ", {"οδος über жук i̇"}, {.lowercase = true}).score, 100, 1e-9);
}

TEST(Bleu, NamesBothCountsWhenReferencesDoNotFit) {
  try {
    corpus_bleu({"a", "b"}, {{"a", "b"}, {"a", "b", "c"}});
    FAIL() << "nothing thrown";
  } catch (const Error& error) {
    EXPECT_STREQ(
        error.what(),
        "BLEU: 2 hypotheses, but reference set 2 has 3 lines; each hypothesis needs one reference of each set");
  }
  EXPECT_THROW(corpus_bleu({}, {{}}), Error);
  EXPECT_THROW(corpus_bleu({"a"}, {}), Error);
  EXPECT_THROW(corpus_bleu({"a"}, {{"a"}}, {.max_order = 0}), Error);
  EXPECT_THROW(bleu_from_statistics({.matches = {1}, .totals = {1}}), Error);
}

TEST(Tokenizer13a, IsolatesPunctuationButNotWithinNumbers) {
  EXPECT_EQ(tokenize_13a("Hello, world! (3.14, 1,000) it's 5-6 well-known..."),
            "Hello , world ! ( 3.14 , 1,000 ) it's 5 - 6 well-known . . .");
  EXPECT_EQ(tokenize_13a("&quot;a&amp;lt;b&quot; <skipped> \u00a0„c“"), "\" a < b \" „c“");
  EXPECT_EQ(tokenize_13a(""), "");
}

TEST(InternationalTokenizer, IsolatesPunctuationAndSymbolsOfAnyScript) {
  EXPECT_EQ(tokenize_international("„Größe“: 3,5€ — 很好。"), "„ Größe “ : 3,5 € — 很好 。");
}

TEST(CharacterTokenizer, TakesCodePointsWithoutSpaces) { EXPECT_EQ(tokenize_characters("aé 好\t😀"), "a é 好 😀"); }

}  // namespace
}  // namespace heed
