#pragma once
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace heed {

/// A word of a text: bytes [begin, end).
struct TextSpan {
  std::size_t begin = 0, end = 0;
};

/// The words of a text (UTF-8): runs of letters, digits and marks; every other character that is no white space is a
/// word of its own, and so is each character of scripts that are written without spaces (Chinese characters, kana).
std::vector<TextSpan> word_spans(std::string_view text);

/// The words with one space between: what a vocabulary of words can be made of.
std::string with_words_apart(std::string_view text);

}  // namespace heed
