#include "explain/piece_words.h"

namespace heed {

std::vector<PieceWord> words_of(const Vocabulary& vocabulary, std::span<const std::int32_t> ids) {
  constexpr std::string_view word_start = "▁";
  const bool subwords = vocabulary.kind() == "subword";
  std::vector<PieceWord> words;
  bool starts_word = true;
  for (std::size_t t = 0; t < ids.size(); ++t) {
    std::string piece = vocabulary.piece(ids[t]);
    const bool special = ids[t] < Vocabulary::special_tokens;
    if (subwords && piece.starts_with(word_start)) {
      starts_word = true;
      piece.erase(0, word_start.size());
    }
    if (!subwords || special || starts_word || words.empty()) words.push_back({"", t, t, special});
    words.back().word += piece;
    words.back().end = t + 1;
    starts_word = special;
  }
  return words;
}

}  // namespace heed
