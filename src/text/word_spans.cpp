#include "text/word_spans.h"

#include "formats/utf8.h"
#include "text/unicode.h"

namespace heed {

namespace {

/// Kana, Chinese characters and what belongs to them.
bool stands_alone(char32_t c) {
  return (c >= 0x2E80 && c <= 0x9FFF) || (c >= 0xF900 && c <= 0xFAFF) || (c >= 0x20000 && c <= 0x3FFFF);
}

}  // namespace

std::vector<TextSpan> word_spans(std::string_view text) {
  std::vector<TextSpan> words;
  bool goes_on = false;  // the last piece is a run that the next character may belong to
  for (std::size_t at = 0; at < text.size();) {
    const Utf8Character character = decode_utf8(text, at);
    const std::size_t end = at + static_cast<std::size_t>(character.bytes);
    const char32_t c = character.code;
    const bool blank = unicode::is_space(c);
    const bool part = !blank && !unicode::is_punctuation(c) && !unicode::is_symbol(c) && !stands_alone(c);
    if (part && goes_on)
      words.back().end = end;
    else if (!blank)
      words.push_back({at, end});
    goes_on = part;
    at = end;
  }
  return words;
}

std::string with_words_apart(std::string_view text) {
  std::string apart;
  for (const TextSpan& word : word_spans(text))
    (apart += apart.empty() ? "" : " ") += text.substr(word.begin, word.end - word.begin);
  return apart;
}

}  // namespace heed
