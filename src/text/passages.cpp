#include "text/passages.h"

#include <algorithm>

#include "text/unicode.h"

namespace heed {

std::pair<std::int32_t, std::int32_t> PassageTokens::tokens_of(std::int64_t begin, std::int64_t end) const {
  const auto first = std::find_if(words.begin(), words.end(), [begin](const TextSpan& word) {
    return static_cast<std::int64_t>(word.end) > begin;
  });
  const auto behind = std::find_if(
      first, words.end(), [end](const TextSpan& word) { return static_cast<std::int64_t>(word.begin) >= end; });
  if (first == behind) return {-1, -1};
  return {static_cast<std::int32_t>(first - words.begin()), static_cast<std::int32_t>(behind - words.begin()) - 1};
}

PassageTokens passage_tokens(const TextEncoder& text, std::string_view passage) {
  PassageTokens tokens;
  for (const TextSpan& word : word_spans(passage)) {
    std::string one(passage.substr(word.begin, word.end - word.begin));
    if (text.lowercase) one = unicode::lowercase(one);
    for (const std::int32_t id : text.source->encode(one)) {
      tokens.ids.push_back(id);
      tokens.words.push_back(word);
    }
  }
  return tokens;
}

std::vector<std::int32_t> question_ids(const TextEncoder& text, std::string_view question, std::int64_t longest) {
  std::vector<std::int32_t> ids = passage_tokens(text, question).ids;
  const std::int64_t most = longest > 0 ? std::min(longest_question, longest / 2) : longest_question;
  if (static_cast<std::int64_t>(ids.size()) > most) ids.resize(static_cast<std::size_t>(most));
  return ids;
}

std::vector<PassageWindow> passage_windows(std::int64_t tokens, std::int64_t question, std::int64_t longest,
                                           std::int64_t stride) {
  if (longest == 0) return {{0, tokens}};
  const std::int64_t most = std::max<std::int64_t>(1, longest - question - 2), step = std::min(stride, most);
  std::vector<PassageWindow> windows;
  for (std::int64_t first = 0;; first += step) {
    windows.push_back({first, std::min(most, tokens - first)});
    if (first + most >= tokens) return windows;
  }
}

}  // namespace heed
