#include "tasks/classification_metrics.h"

#include <gtest/gtest.h>
#include <heed/error.h>

#include <cmath>

#include "tasks/language_model_metrics.h"

namespace heed {
namespace {

const std::vector<int32_t> truth{0, 1, 2, 0, 1, 2}, predicted{0, 2, 1, 0, 0, 1};

TEST(ClassificationMetrics, EqualScikitLearnsExample) {
  const ConfusionMatrix matrix = confusion_matrix(truth, predicted, 3);
  EXPECT_EQ(matrix.at(0, 0), 2);
  EXPECT_EQ(matrix.at(2, 1), 2);
  EXPECT_EQ(matrix.at(1, 2), 1);
  const ClassificationScores scores = classification_scores(matrix);
  EXPECT_DOUBLE_EQ(scores.accuracy, 2 / 6.0);
  EXPECT_NEAR(scores.macro.precision, 2 / 9.0, 1e-15);
  EXPECT_NEAR(scores.macro.recall, 1 / 3.0, 1e-15);
  EXPECT_NEAR(scores.macro.f1, 0.8 / 3, 1e-15);
  EXPECT_DOUBLE_EQ(scores.micro.f1, scores.accuracy);
  EXPECT_DOUBLE_EQ(scores.classes[0].precision, 2 / 3.0);
  EXPECT_DOUBLE_EQ(scores.classes[0].recall, 1);
  EXPECT_DOUBLE_EQ(scores.classes[0].f1, 0.8);
  EXPECT_EQ(scores.classes[1].support, 2);
}

TEST(ClassificationMetrics, AverageOnlyClassesThatOccur) {
  const ClassificationScores of_three = classification_scores(confusion_matrix(truth, predicted, 3));
  const ClassificationScores of_five = classification_scores(confusion_matrix(truth, predicted, 5));
  EXPECT_DOUBLE_EQ(of_five.macro.f1, of_three.macro.f1);
  EXPECT_EQ(of_five.classes.size(), 5u);
  EXPECT_EQ(of_five.classes[4].f1, 0);
}

TEST(ClassificationMetrics, AverageTheClassesAskedFor) {
  const std::vector<int> averaged{0, 1};
  const ClassificationScores scores = classification_scores(confusion_matrix(truth, predicted, 3), averaged);
  EXPECT_DOUBLE_EQ(scores.macro.f1, 0.4);
  // Two right of five predicted and four true.
  EXPECT_DOUBLE_EQ(scores.micro.precision, 0.4);
  EXPECT_DOUBLE_EQ(scores.micro.recall, 0.5);
  EXPECT_DOUBLE_EQ(scores.micro.f1, 4 / 9.0);
  EXPECT_DOUBLE_EQ(scores.accuracy, 2 / 6.0);
}

TEST(ClassificationMetrics, OfSlicesAreThoseOfTheirExamples) {
  const std::vector<std::string> values{"women", "men", "men", "women", "women", "men"};
  const std::vector<ClassificationSlice> slices = classification_slices(truth, predicted, values, 3);
  ASSERT_EQ(slices.size(), 2u);
  EXPECT_EQ(slices[0].value, "men");
  EXPECT_EQ(slices[0].scores.accuracy, 0);
  EXPECT_EQ(slices[1].value, "women");
  EXPECT_DOUBLE_EQ(slices[1].scores.accuracy, 2 / 3.0);
  EXPECT_EQ(slices[1].matrix.at(0, 0), 2);
  EXPECT_THROW(classification_slices(truth, predicted, std::vector<std::string>{"men"}, 3), Error);
}

TEST(ClassificationMetrics, OfNoExamplesAreZero) {
  const ClassificationScores scores = classification_scores(confusion_matrix({}, {}, 2));
  EXPECT_EQ(scores.accuracy, 0);
  EXPECT_EQ(scores.macro.f1, 0);
}

TEST(ClassificationMetrics, NameBothCountsAndBadLabels) {
  const std::vector<int32_t> three{0, 1, 0}, wrong{0, 1, 0, 1, 0, 7};
  try {
    confusion_matrix(truth, three, 3);
    FAIL() << "nothing thrown";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "confusion matrix: 6 true labels, but 3 predictions; each example needs one of either");
  }
  try {
    confusion_matrix(truth, wrong, 3);
    FAIL() << "nothing thrown";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "confusion matrix: prediction 5 is 7, not in 0 to 2");
  }
  EXPECT_THROW(ConfusionMatrix(0), Error);
  const std::vector<int> averaged{3};
  EXPECT_THROW(classification_scores(confusion_matrix(truth, predicted, 3), averaged), Error);
}

TEST(LanguageModelMetrics, OfAUniformModelAreItsVocabulary) {
  LanguageModelLoss loss{.nats = 10 * std::log(8), .tokens = 10, .characters = 60};
  EXPECT_NEAR(loss.perplexity(), 8, 1e-12);
  EXPECT_NEAR(loss.bits_per_token(), 3, 1e-12);
  EXPECT_NEAR(loss.bits_per_character(), 0.5, 1e-12);
  loss += {.nats = 10 * std::log(2), .tokens = 10, .characters = 20};
  EXPECT_NEAR(loss.perplexity(), 4, 1e-12);
}

TEST(LanguageModelMetrics, OfNoTokensAreRefused) { EXPECT_THROW(LanguageModelLoss{}.perplexity(), Error); }

}  // namespace
}  // namespace heed
