#include "explain/search_html.h"

#include <heed/error.h>

#include <algorithm>
#include <charconv>
#include <map>

#include "explain/attention_html.h"
#include "explain/chart.h"

namespace heed {

namespace {

constexpr const char* page_style = R"(
:root {
  color-scheme: light dark;
  --ground: #ffffff; --text: #1c2430; --quiet: #5b6675; --line: #dfe5ec; --cell: #f1f4f8; --ink: #1f5fbf; --dot: #8a97a8;
}
@media (prefers-color-scheme: dark) {
  :root { --ground: #14181e; --text: #e4e9f0; --quiet: #99a5b5; --line: #2b343f; --cell: #1f262f; --ink: #7db5ff; --dot: #6c7a8c; }
}
body {
  margin: 2rem auto; max-width: 70rem; padding: 0 1.5rem;
  background: var(--ground); color: var(--text); font: 1rem/1.5 system-ui, sans-serif;
}
h1 { font-size: 1.35rem; margin: 0 0 0.4rem; overflow-wrap: anywhere; }
h2 { font-size: 1.05rem; margin: 2.2rem 0 0.6rem; }
p, figcaption { color: var(--quiet); max-width: 46rem; margin: 0.4rem 0 0.8rem; }
figure { margin: 0; overflow-x: auto; }
.charts { display: flex; flex-wrap: wrap; gap: 1.2rem 1.6rem; }
svg { display: block; font: 13px system-ui, sans-serif; }
.grid { stroke: var(--line); }
.tick { fill: var(--quiet); font-size: 12px; }
.axis { fill: var(--text); }
.point { fill: var(--dot); fill-opacity: 0.55; }
.point.marked { fill: var(--ink); fill-opacity: 1; }
.line { fill: none; stroke: var(--ink); stroke-width: 1.5; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: 0.88rem; font-variant-numeric: tabular-nums; }
th, td { padding: 0.25rem 0.8rem 0.25rem 0; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--line); }
th { color: var(--quiet); font-weight: 600; }
td.text, th.text { text-align: left; }
tr.front td { background: var(--cell); }
tr.front td:first-child { color: var(--ink); font-weight: 600; }
)";

bool as_number(const std::string& text, double& value) {
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
  return failed == std::errc() && end == text.data() + text.size();
}

/// A trial in one line, for the pointer.
std::string title_of(const SearchSummary& summary, const SummaryRow& row) {
  std::string text = format("trial {}", row.trial.number);
  for (std::size_t i = 0; i < row.objectives.size(); ++i)
    text += format("\n{} {}", summary.objectives[i], objective_text(summary.objectives[i], row.objectives[i]));
  for (std::size_t i = 0; i < row.values.size(); ++i) text += format("\n{} = {}", summary.keys[i], row.values[i]);
  return text;
}

ChartAxis axis_of(const std::string& objective) {
  return {.title = objective == "latency" ? "latency (ms)" : objective, .percent = is_share(objective)};
}

/// Equal ratios are told apart better than equal differences when the largest is many times the least.
bool wants_logarithm(const std::vector<ChartPoint>& points) {
  double low = 0.0, high = 0.0;
  for (const ChartPoint& point : points) {
    low = &point == &points.front() ? point.x : std::min(low, point.x);
    high = std::max(high, point.x);
  }
  return low > 0.0 && high > 12.0 * low;
}

std::string objective_charts(const SearchSummary& summary) {
  std::string html;
  for (std::size_t other = 1; other < std::max<std::size_t>(2, summary.objectives.size()); ++other) {
    const bool single = summary.objectives.size() == 1;
    std::vector<ChartPoint> points;
    for (const SummaryRow& row : summary.rows)
      if (!row.objectives.empty())
        points.push_back({single ? static_cast<double>(row.trial.number) : row.objectives[other],
                          row.objectives.front(), title_of(summary, row), row.front});
    if (points.empty()) continue;
    ChartAxis x = single ? ChartAxis{.title = "trial"} : axis_of(summary.objectives[other]);
    x.logarithmic = !single && wants_logarithm(points);
    // With three objectives or more the front is a surface: a line through its points would say nothing.
    html += "<figure>" +
            scatter_svg(points, x, axis_of(summary.objectives.front()), 520.0, 380.0, summary.objectives.size() == 2) +
            "</figure>\n";
  }
  return html;
}

/// The first objective against the values of one key: numbers on an axis, where there are many, else side by side.
std::string key_chart(const SearchSummary& summary, std::size_t key) {
  constexpr std::size_t most_columns = 7;
  std::map<std::string, double> texts;
  std::map<double, std::string> numbers;
  bool numeric = true;
  for (const SummaryRow& row : summary.rows) {
    double value = 0.0;
    texts.emplace(row.values[key], 0.0);
    if (as_number(row.values[key], value))
      numbers.emplace(value, row.values[key]);
    else
      numeric = false;
  }
  const bool side_by_side = !numeric || numbers.size() <= most_columns;
  ChartAxis x{.title = summary.keys[key]};
  if (side_by_side && numeric) {
    for (const auto& [value, text] : numbers)
      texts[text] = static_cast<double>(x.categories.size()), x.categories.push_back(text);
  } else if (side_by_side) {
    for (auto& [text, place] : texts) place = static_cast<double>(x.categories.size()), x.categories.push_back(text);
  }
  std::vector<ChartPoint> points;
  for (const SummaryRow& row : summary.rows) {
    if (row.objectives.empty()) continue;
    double place = 0.0;
    if (side_by_side)
      place = texts[row.values[key]] +
              0.05 * static_cast<double>(row.trial.number * 7 % 11 - 5);  // so that few hide others
    else
      as_number(row.values[key], place);
    points.push_back({place, row.objectives.front(), title_of(summary, row), row.front});
  }
  if (points.empty()) return "";
  x.logarithmic = !side_by_side && wants_logarithm(points);
  return "<figure>" + scatter_svg(points, x, axis_of(summary.objectives.front()), 340.0, 230.0) + "</figure>\n";
}

std::string table_of(const SearchSummary& summary, bool front_alone) {
  std::string html = "<div class=\"scroll\"><table>\n<tr><th class=\"text\">trial</th>";
  for (const std::string& objective : summary.objectives) html += "<th>" + escaped_html(objective) + "</th>";
  for (const std::string& key : summary.keys)
    html += "<th title=\"" + escaped_html(key) + "\">" + escaped_html(key.substr(key.rfind('.') + 1)) + "</th>";
  html += "<th>trained</th><th class=\"text\">state</th></tr>\n";
  for (const SummaryRow& row : summary.rows) {
    if (front_alone && !row.front) continue;
    html += format("<tr{}><td class=\"text\">{}</td>", row.front ? " class=\"front\"" : "", row.trial.number);
    for (std::size_t i = 0; i < summary.objectives.size(); ++i)
      html +=
          "<td>" + (row.objectives.empty() ? "" : objective_text(summary.objectives[i], row.objectives[i])) + "</td>";
    for (const std::string& value : row.values) html += "<td>" + escaped_html(value) + "</td>";
    const std::string reason = row.trial.state == TrialState::failed ? ": " + row.trial.reason.substr(0, 80) : "";
    html += format("<td>{} %</td><td class=\"text\">{}{}</td></tr>\n",
                   static_cast<int>(100.0 * row.trial.progress + 0.5), name_of(row.trial.state), escaped_html(reason));
  }
  return html + "</table></div>\n";
}

}  // namespace

std::string search_html(const SearchSummary& summary) {
  const std::string title = escaped_html(summary.title.empty() ? "A search" : summary.title);
  const auto with_result = std::count_if(summary.rows.begin(), summary.rows.end(),
                                         [](const SummaryRow& row) { return !row.objectives.empty(); });
  const bool single = summary.objectives.size() == 1;
  std::string page =
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" "
      "content=\"width=device-width\">\n<title>" +
      title + "</title>\n<style>" + page_style + "</style>\n</head>\n<body>\n<h1>" + title + "</h1>\n";
  page += format(
      "<p>{} trials of a space of {} recipes ({}): {} with a result, {} trained to the end, {} running, {} failed. ",
      summary.rows.size(), escaped_html(summary.recipes), escaped_html(summary.strategy), with_result,
      summary.count(TrialState::done), summary.count(TrialState::running), summary.count(TrialState::failed));
  if (summary.rungs > 1) page += "A trial that was not promoted is shown as far as it was trained. ";
  page += "Rest the pointer on a point for its recipe.</p>\n";
  page += format("<h2>{}</h2>\n", single ? "The trials, and the best" : "The Pareto front");
  if (!single) page += "<p>Marked are the trials that no other beats in every objective.</p>\n";
  page += "<div class=\"charts\">\n" + objective_charts(summary) + "</div>\n" + table_of(summary, true);
  page += "<h2>What each key does</h2>\n<div class=\"charts\">\n";
  for (std::size_t key = 0; key < summary.keys.size(); ++key) page += key_chart(summary, key);
  page += "</div>\n<h2>All trials</h2>\n" + table_of(summary, false);
  return page + "</body>\n</html>\n";
}

}  // namespace heed
