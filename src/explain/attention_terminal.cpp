#include "explain/attention_terminal.h"

#include <algorithm>

namespace heed {

namespace {

constexpr int least_cell = 2;

/// The shade of a weight: the more ink, the more weight, on dark and light grounds alike.
const char* shade(float weight) {
  if (weight < 0.05f) return "·";
  if (weight < 0.2f) return "░";
  if (weight < 0.45f) return "▒";
  if (weight < 0.7f) return "▓";
  return "█";
}

std::string repeated(const char* glyph, int count) {
  std::string text;
  for (int i = 0; i < count; ++i) text += glyph;
  return text;
}

std::string coloured(const char* code, const std::string& text, bool colour) {
  return colour ? "\033[" + std::string(code) + "m" + text + "\033[0m" : text;
}

}  // namespace

std::string attention_terminal(const AttentionMap& map, const TerminalStyle& style) {
  const Tensor mean = mean_over_heads(map);
  std::vector<std::string> rows, columns;
  for (const std::string& label : map.rows) rows.push_back(shown_label(label));
  for (const std::string& label : map.columns) columns.push_back(shown_label(label));
  int margin = 0;
  for (const std::string& label : rows) margin = std::max(margin, display_width(label));
  std::vector<int> cells;
  for (const std::string& label : columns) cells.push_back(std::max(least_cell, display_width(label)));

  std::string picture;
  for (std::size_t begin = 0; begin < columns.size();) {
    std::size_t end = begin;
    for (int used = margin + 1; end < columns.size() && (end == begin || used + 1 + cells[end] <= style.columns); ++end)
      used += 1 + cells[end];
    if (begin > 0) picture += '\n';
    picture += repeated(" ", margin + 1);
    for (std::size_t column = begin; column < end; ++column)
      picture += " " + columns[column] + repeated(" ", cells[column] - display_width(columns[column]));
    while (picture.back() == ' ') picture.pop_back();
    picture += '\n';
    for (std::size_t row = 0; row < rows.size(); ++row) {
      const float* weights = mean.floats() + static_cast<std::int64_t>(row) * mean.width();
      const auto strongest = static_cast<std::size_t>(std::max_element(weights, weights + mean.width()) - weights);
      picture += repeated(" ", margin - display_width(rows[row])) + rows[row] + " ";
      for (std::size_t column = begin; column < end; ++column) {
        const char* glyph = shade(weights[column]);
        const char* code = column == strongest ? "1;33" : weights[column] < 0.05f ? "2" : "36";
        picture += " " + coloured(code, repeated(glyph, cells[column]), style.colour);
      }
      picture += '\n';
    }
    begin = end;
  }
  return picture;
}

}  // namespace heed
