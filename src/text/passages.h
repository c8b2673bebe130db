#pragma once
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "text/examples.h"
#include "text/word_spans.h"

namespace heed {

/// A passage as a model reads it. Words are encoded one by one, so that each token is known to be of one word.
struct PassageTokens {
  std::vector<std::int32_t> ids;
  std::vector<TextSpan> words;  ///< [tokens] the bytes of the word that the token is of

  /// The tokens [first, last] of the words that bytes [begin, end) of the passage touch; {-1, -1} when there are none.
  std::pair<std::int32_t, std::int32_t> tokens_of(std::int64_t begin, std::int64_t end) const;
};

PassageTokens passage_tokens(const TextEncoder& text, std::string_view passage);

/// A question's ids, at most half of `longest` (0: any) and `longest_question`.
std::vector<std::int32_t> question_ids(const TextEncoder& text, std::string_view question, std::int64_t longest);
inline constexpr std::int64_t longest_question = 64;

/// Tokens [first, first + count) of a passage.
struct PassageWindow {
  std::int64_t first = 0, count = 0;
};

/// Windows that cover a passage of `tokens`, so long that with a question of `question` tokens and the two tokens
/// around it none is longer than `longest` (0: any length); they start `stride` tokens apart, or closer when they are
/// shorter. There is always one, be it empty.
std::vector<PassageWindow> passage_windows(std::int64_t tokens, std::int64_t question, std::int64_t longest,
                                           std::int64_t stride);

}  // namespace heed
