#pragma once
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace heed {

/// Where the first stop string begins in a text (of those that begin together it does not matter which); npos when
/// there is none. Empty stop strings are not looked for.
std::size_t find_stop(std::string_view text, const std::vector<std::string>& stops);

/// The text of an answer while it grows: cut at the first stop string, and handed out as far as it is certain.
class GrowingText {
 public:
  explicit GrowingText(const std::vector<std::string>& stops) : stops_(&stops) {}
  /// The whole text so far. True when a stop string has ended it.
  bool update(std::string text);
  const std::string& text() const { return text_; }
  /// What has become certain since the last call. Held back unless `finished`: an end that may be the beginning of a
  /// stop string, and a character whose bytes are not all there (U+FFFD, or an incomplete UTF-8 sequence).
  std::string_view take(bool finished);

 private:
  const std::vector<std::string>* stops_;
  std::string text_;
  std::size_t taken_ = 0;
};

}  // namespace heed
