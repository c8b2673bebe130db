#include "tasks/squad_metrics.h"

#include <gtest/gtest.h>
#include <heed/error.h>

namespace heed {
namespace {

using Answers = std::vector<std::string>;
using References = std::vector<std::vector<std::string>>;

TEST(SquadMetrics, NormaliseAsTheOfficialScript) {
  EXPECT_EQ(normalised_answer("The  Eiffel-Tower, a.k.a. \"An\" icon!"), "eiffeltower aka icon");
  EXPECT_EQ(normalised_answer("theatre of the a"), "theatre of");
  EXPECT_EQ(normalised_answer("the–end"), "–end");  // an en dash is no ASCII punctuation, but ends a word
  EXPECT_EQ(normalised_answer("ÉCOLE a\u00a0été"), "école été");
  EXPECT_EQ(normalised_answer("a_b"), "ab");  // punctuation goes first
  EXPECT_EQ(normalised_answer("the"), "");
}

TEST(SquadMetrics, CountWordsInCommon) {
  EXPECT_EQ(exact_match("the Broncos.", "Broncos"), 1);
  EXPECT_EQ(exact_match("Broncos", "Denver Broncos"), 0);
  EXPECT_DOUBLE_EQ(answer_f1("Broncos", "Denver Broncos"), 2 / 3.0);
  EXPECT_DOUBLE_EQ(answer_f1("x x y", "x x x"), 2 / 3.0);
  EXPECT_EQ(answer_f1("", ""), 1);
  EXPECT_EQ(answer_f1("", "x"), 0);
}

TEST(SquadMetrics, TakeTheBestReference) {
  const SquadScores scores =
      squad_scores(Answers{"Denver Broncos", "gold"}, References{{"Broncos", "The Denver Broncos"}, {"silver"}});
  EXPECT_EQ(scores.all.exact, 50);
  EXPECT_EQ(scores.all.f1, 50);
  EXPECT_EQ(scores.answerable.questions, 2);
  EXPECT_EQ(scores.unanswerable.questions, 0);
}

TEST(SquadMetrics, OfAQuestionWithoutAnswerOnlySilenceIsRight) {
  const SquadScores scores = squad_scores(Answers{"", "a guess", "x"}, References{{}, {}, {"x"}});
  EXPECT_EQ(scores.unanswerable.exact, 50);
  EXPECT_EQ(scores.answerable.exact, 100);
  EXPECT_NEAR(scores.all.f1, 200 / 3.0, 1e-12);
}

TEST(SquadMetrics, FindTheThresholdThatIsBest) {
  // The second has no answer and is surest of that; the third is answered wrongly.
  const SquadThresholds best = best_no_answer_thresholds(Answers{"x", "y", "z"}, std::vector<double>{-2, 3, 1},
                                                         References{{"x"}, {}, {"other"}});
  EXPECT_NEAR(best.best_exact, 200 / 3.0, 1e-12);
  EXPECT_EQ(best.exact_threshold, -2);
}

TEST(SquadMetrics, NameBothCounts) {
  EXPECT_THROW(squad_scores(Answers{"x"}, References{}), Error);
  EXPECT_THROW(squad_scores(Answers{}, References{}), Error);
}

}  // namespace
}  // namespace heed
