#include "text/word_spans.h"

#include <gtest/gtest.h>

namespace heed {
namespace {

TEST(WordSpans, PunctuationAndSymbolsStandAlone) {
  EXPECT_EQ(with_words_apart("Don't pay $3.50 (or 3€)!  "), "Don ' t pay $ 3 . 50 ( or 3 € ) !");
  EXPECT_EQ(with_words_apart(""), "");
}

TEST(WordSpans, LettersOfAnyScriptJoinButChineseCharactersDoNot) {
  EXPECT_EQ(with_words_apart("Привет, naïve 很快,好吃 abc東京1"), "Привет , naïve 很 快 , 好 吃 abc 東 京 1");
}

TEST(WordSpans, SpansAreBytesOfTheText) {
  const std::string text = "é, b";
  const auto words = word_spans(text);
  ASSERT_EQ(words.size(), 3u);
  EXPECT_EQ(words[1].begin, 2u);
  EXPECT_EQ(words[2].end, text.size());
}

}  // namespace
}  // namespace heed
