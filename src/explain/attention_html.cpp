#include "explain/attention_html.h"

#include <heed/error.h>

#include <algorithm>
#include <charconv>
#include <numeric>

#include "formats/utf8.h"

namespace heed {

namespace {

constexpr const char* style = R"(
:root {
  color-scheme: light dark;
  --ground: #ffffff; --text: #1c2430; --quiet: #5b6675; --cell: #f1f4f8; --ink: #1f5fbf; --on-ink: #ffffff;
}
@media (prefers-color-scheme: dark) {
  :root { --ground: #14181e; --text: #e4e9f0; --quiet: #99a5b5; --cell: #1f262f; --ink: #7db5ff; --on-ink: #0b1016; }
}
body {
  margin: 2rem auto; max-width: 70rem; padding: 0 1.5rem;
  background: var(--ground); color: var(--text); font: 1rem/1.5 system-ui, sans-serif;
}
h1 { font-size: 1.35rem; margin: 0 0 1.2rem; overflow-wrap: anywhere; }
h2 { font-size: 1.05rem; margin: 2rem 0 0.8rem; }
figure { margin: 0; overflow-x: auto; }
figcaption, p { color: var(--quiet); max-width: 46rem; margin: 0.8rem 0 0; }
.heads { display: flex; flex-wrap: wrap; gap: 1.2rem 1.6rem; margin-top: 1.2rem; }
.heads figcaption { font-size: 0.85rem; margin: 0 0 0.3rem; }
svg { display: block; font: 14px system-ui, sans-serif; }
svg text { fill: var(--text); }
.ground { fill: var(--cell); }
.weight { fill: var(--ink); }
svg .value { font-size: 11px; text-anchor: middle; pointer-events: none; }
svg .value.on { fill: var(--on-ink); }
)";

/// Decimals, the same in every locale.
std::string fixed_point(double value, int digits) {
  char text[64];
  const auto end = std::to_chars(text, text + sizeof text, value, std::chars_format::fixed, digits).ptr;
  return {text, end};
}

/// Where the cells of a picture stand, in pixels.
struct Grid {
  std::vector<double> left;  // of each column, and the right end of the last
  double top = 0.0, height = 0.0;
  double gap = 1.0;
};

std::string percent(float weight) { return fixed_point(100.0 * static_cast<double>(weight), 1) + " %"; }

/// The cells of one matrix; weights that round to nothing show the ground alone.
void draw_cells(std::string& svg, const AttentionMap& map, const float* weights, const Grid& grid) {
  for (std::size_t row = 0; row < map.rows.size(); ++row)
    for (std::size_t column = 0; column < map.columns.size(); ++column) {
      const float weight = *weights++;
      if (weight < 0.0005f) continue;
      const double left = grid.left[column], width = grid.left[column + 1] - left - grid.gap;
      svg += format("<rect class=\"weight\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" fill-opacity=\"{}\">",
                    fixed_point(left, 1), fixed_point(grid.top + static_cast<double>(row) * grid.height, 1),
                    fixed_point(width, 1), fixed_point(grid.height - grid.gap, 1),
                    fixed_point(static_cast<double>(weight), 3));
      svg += format("<title>{} ← {}: {}</title></rect>\n", escaped_html(shown_label(map.rows[row])),
                    escaped_html(shown_label(map.columns[column])), percent(weight));
    }
}

/// A band behind each row, so that the eye keeps to it.
void draw_ground(std::string& svg, std::size_t rows, const Grid& grid) {
  for (std::size_t row = 0; row < rows; ++row)
    svg +=
        format("<rect class=\"ground\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"/>\n",
               fixed_point(grid.left.front(), 1), fixed_point(grid.top + static_cast<double>(row) * grid.height, 1),
               fixed_point(grid.left.back() - grid.left.front() - grid.gap, 1), fixed_point(grid.height - grid.gap, 1));
}

std::string svg_start(double width, double height, const std::string& label) {
  return format("<svg role=\"img\" aria-label=\"{}\" width=\"{}\" height=\"{}\" viewBox=\"0 0 {} {}\">\n",
                escaped_html(label), fixed_point(width, 0), fixed_point(height, 0), fixed_point(width, 0),
                fixed_point(height, 0));
}

double text_width(const std::string& label) { return 8.2 * display_width(label); }

/// The mean, with labels. Columns are as wide as their labels, so that the source reads as a sentence; when that is too
/// much for a page they are narrow and the labels slanted.
std::string draw_mean(const AttentionMap& map) {
  constexpr double page = 1020.0, least_column = 44.0;
  double margin = 0.0, longest = 0.0, upright_width = 0.0;
  for (const std::string& label : map.rows) margin = std::max(margin, text_width(shown_label(label)) + 14.0);
  std::vector<double> widths;
  for (const std::string& label : map.columns) {
    longest = std::max(longest, text_width(shown_label(label)));
    widths.push_back(std::max(least_column, text_width(shown_label(label)) + 14.0));
    upright_width += widths.back();
  }
  const bool upright = margin + upright_width <= page;
  if (!upright)
    std::fill(widths.begin(), widths.end(),
              std::clamp((page - margin) / static_cast<double>(widths.size()), 12.0, 40.0));

  constexpr double slant = 0.71;  // of 45 degrees
  Grid grid{
      {margin}, upright ? 26.0 : slant * longest + 22.0, upright ? 32.0 : std::clamp(widths.front(), 18.0, 32.0), 2.0};
  for (const double width : widths) grid.left.push_back(grid.left.back() + width);

  const double right = upright ? 0.0 : slant * longest;
  std::string svg = svg_start(grid.left.back() + right, grid.top + static_cast<double>(map.rows.size()) * grid.height,
                              "attention of " + map.title + ", the mean over all heads");
  draw_ground(svg, map.rows.size(), grid);
  for (std::size_t column = 0; column < map.columns.size(); ++column) {
    const std::string x = fixed_point((grid.left[column] + grid.left[column + 1] - grid.gap) / 2, 1),
                      y = fixed_point(grid.top - 9, 1);
    const std::string place = upright ? "text-anchor=\"middle\"" : format("transform=\"rotate(-45 {} {})\"", x, y);
    svg +=
        format("<text x=\"{}\" y=\"{}\" {}>{}</text>\n", x, y, place, escaped_html(shown_label(map.columns[column])));
  }
  for (std::size_t row = 0; row < map.rows.size(); ++row)
    svg += format("<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>\n", fixed_point(margin - 8.0, 1),
                  fixed_point(grid.top + (static_cast<double>(row) + 0.5) * grid.height + 4.0, 1),
                  escaped_html(shown_label(map.rows[row])));
  const Tensor mean = mean_over_heads(map);
  draw_cells(svg, map, mean.floats(), grid);
  // The figures, where there is room for them and something to tell.
  for (std::size_t row = 0; row < map.rows.size(); ++row)
    for (std::size_t column = 0; column < map.columns.size(); ++column) {
      const float weight = mean.floats()[row * map.columns.size() + column];
      if (weight < 0.045f || widths[column] < 28.0) continue;
      svg += format("<text class=\"value{}\" x=\"{}\" y=\"{}\">{}</text>\n", weight > 0.5f ? " on" : "",
                    fixed_point((grid.left[column] + grid.left[column + 1] - grid.gap) / 2, 1),
                    fixed_point(grid.top + (static_cast<double>(row) + 0.5) * grid.height + 3.0, 1),
                    fixed_point(100.0 * static_cast<double>(weight), 0));
    }
  return svg + "</svg>\n";
}

std::string draw_head(const AttentionMap& map, std::size_t head) {
  const double cell = std::clamp(210.0 / static_cast<double>(map.columns.size()), 4.0, 16.0);
  Grid grid{{}, 0.0, cell, cell > 8.0 ? 1.0 : 0.0};
  for (std::size_t column = 0; column <= map.columns.size(); ++column)
    grid.left.push_back(cell * static_cast<double>(column));
  std::string svg = svg_start(grid.left.back(), cell * static_cast<double>(map.rows.size()), map.heads[head]);
  draw_ground(svg, map.rows.size(), grid);
  draw_cells(svg, map, map.weights.floats() + head * map.rows.size() * map.columns.size(), grid);
  return svg + "</svg>\n";
}

}  // namespace

std::string escaped_html(std::string_view text) {
  std::string escaped;
  for (const char c : replace_bad_utf8(text)) {
    switch (c) {
      case '&':
        escaped += "&amp;";
        break;
      case '<':
        escaped += "&lt;";
        break;
      case '>':
        escaped += "&gt;";
        break;
      case '"':
        escaped += "&quot;";
        break;
      case '\'':
        escaped += "&#39;";
        break;
      default:
        escaped += c;
    }
  }
  return escaped;
}

std::string attention_html(const AttentionMap& map) {
  check(map);
  const std::string title = escaped_html(map.title);
  std::string page =
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width\">\n<title>" +
      title + "</title>\n<style>" + style + "</style>\n</head>\n<body>\n";
  page += "<h1>" + title + "</h1>\n<figure>\n" + draw_mean(map);
  page += format(
      "<figcaption>{} Shown is the mean of {} heads, in per cent; rest the pointer on a cell for its "
      "exact figure.</figcaption>\n</figure>\n",
      escaped_html(map.caption), map.heads.size());
  page +=
      "<h2>Each head by itself</h2>\n<p>Rows and columns as above. Heads share the work: some find the place, some "
      "look elsewhere.</p>\n<div class=\"heads\">\n";
  for (std::size_t head = 0; head < map.heads.size(); ++head)
    page += "<figure><figcaption>" + escaped_html(map.heads[head]) + "</figcaption>\n" + draw_head(map, head) +
            "</figure>\n";
  return page + "</div>\n</body>\n</html>\n";
}

}  // namespace heed
