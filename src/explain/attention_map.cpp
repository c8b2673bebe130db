#include "explain/attention_map.h"

#include <heed/error.h>

#include <utility>

#include "formats/utf8.h"

namespace heed {

void check(const AttentionMap& map) {
  const Shape expected{static_cast<std::int64_t>(map.heads.size()), static_cast<std::int64_t>(map.rows.size()),
                       static_cast<std::int64_t>(map.columns.size())};
  if (expected.elements() == 0)
    throw Error("attention map: {} heads, {} rows and {} columns; there must be one of each", map.heads.size(),
                map.rows.size(), map.columns.size());
  if (map.weights.shape() != expected)
    throw Error("attention map: the weights are {}; the labels of heads, rows and columns need {}",
                map.weights.shape().text(), expected.text());
}

Tensor mean_over_heads(const AttentionMap& map) {
  check(map);
  const auto heads = static_cast<std::int64_t>(map.heads.size());
  Tensor mean({map.weights.shape()[1], map.weights.shape()[2]});
  for (std::int64_t i = 0; i < mean.elements(); ++i) {
    double sum = 0.0;
    for (std::int64_t head = 0; head < heads; ++head)
      sum += static_cast<double>(map.weights.floats()[head * mean.elements() + i]);
    mean.floats()[i] = static_cast<float>(sum / static_cast<double>(heads));
  }
  return mean;
}

std::string shown_label(const std::string& label) {
  constexpr char32_t open_box = U'␣', pictures = U'\x2400', picture_of_delete = U'\x2421';
  if (label.empty()) return to_utf8(std::u32string(1, open_box));
  std::u32string shown;
  for (const char32_t c : to_utf32(label)) {
    if (c == U' ')
      shown += open_box;
    else if (c < 0x20)
      shown += pictures + c;
    else if (c == 0x7f)
      shown += picture_of_delete;
    else if (c >= 0x80 && c < 0xa0)
      shown += replacement_character;
    else
      shown += c;
  }
  return to_utf8(shown);
}

int display_width(const std::string& text) {
  // Blocks of wide characters; single exceptions within them are of no weight for a picture.
  static constexpr std::pair<char32_t, char32_t> wide[] = {{0x1100, 0x115f}, {0x2e80, 0xa4cf},   {0xac00, 0xd7a3},
                                                           {0xf900, 0xfaff}, {0xfe30, 0xfe6f},   {0xff00, 0xff60},
                                                           {0xffe0, 0xffe6}, {0x1f300, 0x1faff}, {0x20000, 0x3fffd}};
  static constexpr std::pair<char32_t, char32_t> combining[] = {
      {0x300, 0x36f}, {0x200b, 0x200f}, {0x20d0, 0x20ff}, {0xfe00, 0xfe0f}, {0xfe20, 0xfe2f}};
  auto in = [](char32_t c, const auto& ranges) {
    for (const auto& [first, last] : ranges)
      if (c >= first && c <= last) return true;
    return false;
  };
  int width = 0;
  for (const char32_t c : to_utf32(text)) width += in(c, combining) ? 0 : in(c, wide) ? 2 : 1;
  return width;
}

}  // namespace heed
