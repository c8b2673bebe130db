#include "text/word_pieces.h"

#include <gtest/gtest.h>

namespace heed {
namespace {

TEST(WordPieces, PunctuationAndSymbolsStandAlone) {
  EXPECT_EQ(with_words_apart("Don't pay $3.50 (or 3€)!  "), "Don ' t pay $ 3 . 50 ( or 3 € ) !");
  EXPECT_EQ(with_words_apart(""), "");
}

TEST(WordPieces, LettersOfAnyScriptJoinButChineseCharactersDoNot) {
  EXPECT_EQ(with_words_apart("Привет, naïve 很快,好吃 abc東京1"), "Привет , naïve 很 快 , 好 吃 abc 東 京 1");
}

TEST(WordPieces, PiecesAreBytesOfTheText) {
  const std::string text = "é, b";
  const auto pieces = word_pieces(text);
  ASSERT_EQ(pieces.size(), 3u);
  EXPECT_EQ(pieces[1].begin, 2u);
  EXPECT_EQ(pieces[2].end, text.size());
}

}  // namespace
}  // namespace heed
