#include "experiments/search_summary.h"

#include <heed/error.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "experiments/scheduler.h"

namespace heed {

namespace {

using nlohmann::ordered_json;

std::string fixed_point(double value, int digits) {
  char text[64];
  return {text, std::to_chars(text, text + sizeof text, value, std::chars_format::fixed, digits).ptr};
}

std::string with_commas(double value) {
  std::string digits = fixed_point(value, 0);
  for (std::size_t place = digits.size(); place > 3; place -= 3) digits.insert(place - 3, ",");
  return digits;
}

std::string shown(const ordered_json& value) { return value.is_string() ? value.get<std::string>() : value.dump(); }

}  // namespace

bool is_share(const std::string& measure) {
  return measure == "accuracy" || measure.starts_with("macro") || measure.starts_with("micro");
}

std::string objective_text(const std::string& objective, double value) {
  if (objective == "parameters") return with_commas(value);
  if (objective == "latency") return fixed_point(value, value < 10.0 ? 3 : 1) + " ms";
  if (is_share(objective)) return fixed_point(100.0 * value, 2) + " %";
  return fixed_point(value, objective == "loss" ? 4 : 2);
}

std::int64_t SearchSummary::count(TrialState state) const {
  return std::count_if(rows.begin(), rows.end(), [&](const SummaryRow& row) { return row.trial.state == state; });
}

SearchSummary read_search_summary(const std::filesystem::path& folder) {
  const std::filesystem::path file = std::filesystem::is_directory(folder) ? folder / "trials.sqlite" : folder;
  Trials trials(file, "");
  SearchSummary summary;
  summary.title = trials.note("title");
  summary.strategy = trials.note("strategy");
  summary.recipes = trials.note("recipes");
  summary.rungs = std::max(1, std::atoi(trials.note("rungs").c_str()));
  SearchConfig search;
  const auto objectives = ordered_json::parse(trials.note("objectives"), nullptr, false);
  if (!objectives.is_array() || objectives.empty())
    throw Error("{}: says nothing of its objectives: the trials file is altered", file.string());
  search.objectives.clear();
  for (const auto& one : objectives) search.objectives.push_back(shown(one));
  summary.objectives = search.objectives;

  const std::vector<Trial> all = trials.all();
  const std::vector<std::int64_t> front = pareto_front(all, search);
  for (const Trial& trial : all) {
    SummaryRow row{.trial = trial, .values = {}, .objectives = {}};
    const auto point = ordered_json::parse(trial.point, nullptr, false);
    if (!point.is_object())
      throw Error("{}: the recipe of trial {} cannot be read: the trials file is altered", file.string(), trial.number);
    if (summary.keys.empty())
      for (const auto& [key, value] : point.items()) summary.keys.push_back(key);
    for (const std::string& key : summary.keys) row.values.push_back(point.contains(key) ? shown(point[key]) : "");
    if (costs_of(trial, search))
      for (const std::string& objective : search.objectives) row.objectives.push_back(objective_of(trial, objective));
    row.front = std::find(front.begin(), front.end(), trial.number) != front.end();
    summary.rows.push_back(std::move(row));
  }
  const double sign = is_minimised(search.objectives.front()) ? 1.0 : -1.0;
  std::stable_sort(summary.rows.begin(), summary.rows.end(), [&](const SummaryRow& a, const SummaryRow& b) {
    if (a.objectives.empty() != b.objectives.empty()) return b.objectives.empty();
    if (a.front != b.front) return a.front;
    return !a.objectives.empty() && sign * a.objectives.front() < sign * b.objectives.front();
  });
  return summary;
}

}  // namespace heed
