#include "decode/growing_text.h"

#include <algorithm>

namespace heed {

namespace {

/// Length of the text without a last character that may yet change.
std::size_t whole_characters(std::string_view text) {
  constexpr std::string_view replacement = "\xEF\xBF\xBD";
  while (text.ends_with(replacement)) text.remove_suffix(replacement.size());
  // The lead byte of the last character tells how many bytes it needs.
  for (std::size_t back = 1; back <= std::min<std::size_t>(4, text.size()); ++back) {
    const auto byte = static_cast<unsigned char>(text[text.size() - back]);
    if ((byte & 0xC0u) == 0x80u) continue;
    const std::size_t needed = byte < 0x80u ? 1 : byte < 0xE0u ? 2 : byte < 0xF0u ? 3 : 4;
    return needed > back ? text.size() - back : text.size();
  }
  return text.size();
}

}  // namespace

std::size_t find_stop(std::string_view text, const std::vector<std::string>& stops) {
  std::size_t first = std::string_view::npos;
  for (const std::string& stop : stops)
    if (!stop.empty()) first = std::min(first, text.find(stop));
  return first;
}

bool GrowingText::update(std::string text) {
  text_ = std::move(text);
  const std::size_t stop = find_stop(text_, *stops_);
  if (stop == std::string::npos) return false;
  text_.resize(stop);
  return true;
}

std::string_view GrowingText::take(bool finished) {
  std::size_t certain = text_.size();
  if (!finished) {
    certain = whole_characters(text_);
    for (const std::string& stop : *stops_)
      for (std::size_t length = std::min(stop.size(), text_.size()); length > 0; --length)
        if (std::string_view(text_).ends_with(std::string_view(stop).substr(0, length))) {
          certain = std::min(certain, text_.size() - length);
          break;
        }
  }
  if (certain <= taken_) return {};
  const std::string_view piece = std::string_view(text_).substr(taken_, certain - taken_);
  taken_ = certain;
  return piece;
}

}  // namespace heed
