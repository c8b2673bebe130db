#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "text/vocabulary.h"

namespace heed {

/// A word and the tokens [begin, end) that it is made of.
struct PieceWord {
  std::string word;
  std::size_t begin = 0, end = 0;
  bool special = false;  ///< a token such as the end, no word of the text
};

/// Subwords put together to the words that they are of; other tokens are words already.
std::vector<PieceWord> words_of(const Vocabulary& vocabulary, std::span<const std::int32_t> ids);

}  // namespace heed
