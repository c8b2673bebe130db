#include "tasks/synthetic_corpus.h"

#include <gtest/gtest.h>
#include <heed/error.h>

#include <algorithm>
#include <set>

namespace heed {
namespace {

std::string digits_of(const TranslationPair& pair) {
  const std::string words = "words: ";
  return pair.source.starts_with(words) ? pair.source.substr(words.size()) : pair.target;
}

TEST(SyntheticCorpus, ReadsNumbersOut) {
  EXPECT_EQ(number_in_words(0), "zero");
  EXPECT_EQ(number_in_words(15), "fifteen");
  EXPECT_EQ(number_in_words(40), "forty");
  EXPECT_EQ(number_in_words(712), "seven hundred and twelve");
  EXPECT_EQ(number_in_words(800), "eight hundred");
  EXPECT_EQ(number_in_words(4000), "four thousand");
  EXPECT_EQ(number_in_words(4007), "four thousand and seven");
  EXPECT_EQ(number_in_words(4321), "four thousand three hundred and twenty-one");
  EXPECT_THROW(number_in_words(-1), Error);
  EXPECT_THROW(number_in_words(10000), Error);
}

TEST(SyntheticCorpus, ReadsDatesOut) {
  EXPECT_EQ(date_in_words({1987, 3, 4}), "the fourth of march nineteen eighty-seven");
  EXPECT_EQ(date_in_words({1900, 12, 31}), "the thirty-first of december nineteen hundred");
  EXPECT_EQ(date_in_words({1805, 1, 1}), "the first of january eighteen oh five");
  EXPECT_EQ(date_in_words({2000, 2, 29}), "the twenty-ninth of february two thousand");
  EXPECT_EQ(date_in_words({2009, 5, 20}), "the twentieth of may two thousand and nine");
  EXPECT_EQ(date_in_words({2017, 6, 3}), "the third of june twenty seventeen");
  EXPECT_EQ(iso_date({1987, 3, 4}), "1987-03-04");
  EXPECT_THROW(date_in_words({1900, 2, 29}), Error);
  EXPECT_THROW(date_in_words({1987, 13, 1}), Error);
}

TEST(SyntheticCorpus, EveryEntryOccursInBothDirections) {
  const SyntheticCorpus corpus = make_synthetic_corpus(1, {.train = 300, .validation = 10, .test = 20});
  EXPECT_EQ(corpus.train.size(), 600u);
  EXPECT_EQ(corpus.validation.size(), 20u);
  ASSERT_EQ(corpus.test.size(), 40u);
  for (const TranslationPair& pair : corpus.test) {
    const bool to_digits = pair.source.starts_with("digits: ");
    const TranslationPair back{(to_digits ? "words: " : "digits: ") + pair.target,
                               pair.source.substr(pair.source.find(' ') + 1)};
    EXPECT_NE(std::find(corpus.test.begin(), corpus.test.end(), back), corpus.test.end()) << pair.source;
  }
}

TEST(SyntheticCorpus, HeldOutEntriesAreNotInTraining) {
  const SyntheticCorpus corpus = make_synthetic_corpus(3);
  std::set<std::string> train, validation;
  for (const TranslationPair& pair : corpus.train) train.insert(digits_of(pair));
  for (const TranslationPair& pair : corpus.validation) {
    EXPECT_FALSE(train.contains(digits_of(pair))) << pair.source;
    validation.insert(digits_of(pair));
  }
  for (const TranslationPair& pair : corpus.test)
    EXPECT_FALSE(train.contains(digits_of(pair)) || validation.contains(digits_of(pair))) << pair.source;
  for (int number = 0; number < 100; ++number) EXPECT_TRUE(train.contains(std::to_string(number))) << number;
}

TEST(SyntheticCorpus, TheSeedDecidesTheCorpus) {
  const SyntheticCorpusSizes small{.train = 200, .validation = 10, .test = 10};
  EXPECT_EQ(make_synthetic_corpus(5, small).train, make_synthetic_corpus(5, small).train);
  EXPECT_NE(make_synthetic_corpus(5, small).train, make_synthetic_corpus(6, small).train);
}

TEST(SyntheticCorpus, RefusesSizesThatItCannotMake) {
  EXPECT_THROW(make_synthetic_corpus(1, {.train = 99, .validation = 1, .test = 1}), Error);
  EXPECT_THROW(make_synthetic_corpus(1, {.train = 100, .validation = -1, .test = 1}), Error);
  EXPECT_THROW(make_synthetic_corpus(1, {.train = 90000, .validation = 10000, .test = 1}), Error);
}

}  // namespace
}  // namespace heed
