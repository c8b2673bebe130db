#include "experiments/search_space.h"

#include <heed/error.h>
#include <heed/random.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "train/recipe_keys.h"

namespace heed {

namespace {

/// Four digits are enough to tell rates apart, and can be read.
double rounded(double value) {
  char digits[32];
  const auto end = std::to_chars(digits, digits + sizeof digits, value, std::chars_format::general, 4).ptr;
  std::from_chars(digits, end, value);
  return value;
}

}  // namespace

std::string Dimension::at(double position) const {
  if (!choices.empty()) {
    const auto chosen = static_cast<std::size_t>(position * static_cast<double>(choices.size()));
    return choices[std::min(chosen, choices.size() - 1)];
  }
  // A whole number stands for all that rounds to it, so that the ends are as likely as the rest.
  const double margin = whole ? 0.5 : 0.0, from = low - margin, to = high + margin;
  const bool by_ratio = logarithmic && from > 0.0;
  const double value = by_ratio ? from * std::pow(to / from, position) : from + (to - from) * position;
  if (whole) return std::to_string(std::clamp(std::llround(value), std::llround(low), std::llround(high)));
  return toml_number(std::clamp(rounded(value), low, high));
}

std::vector<std::string> Dimension::grid(std::int64_t points) const {
  if (!choices.empty()) return choices;
  if (whole && high - low < static_cast<double>(points)) points = std::llround(high - low) + 1;
  std::vector<std::string> values;
  for (std::int64_t i = 0; i < points; ++i) {
    const double share = points > 1 ? static_cast<double>(i) / static_cast<double>(points - 1) : 0.0;
    const double value = logarithmic ? low * std::pow(high / low, share) : low + (high - low) * share;
    std::string text = whole ? std::to_string(std::llround(value)) : toml_number(std::clamp(rounded(value), low, high));
    if (values.empty() || values.back() != text) values.push_back(std::move(text));
  }
  return values;
}

std::int64_t Dimension::count() const {
  if (!choices.empty()) return static_cast<std::int64_t>(choices.size());
  return whole ? std::llround(high - low) + 1 : low == high ? 1 : 0;
}

Point SearchSpace::random_point(std::uint64_t draw) const {
  const RandomKey key = RandomKey{search.seed}.fold(0x736561726368).fold(draw);
  Point point;
  for (std::size_t d = 0; d < dimensions.size(); ++d)
    point.push_back(dimensions[d].at(static_cast<double>(bits64(key, d) >> 11) * 0x1p-53));
  return point;
}

std::optional<Point> SearchSpace::grid_point(std::uint64_t index) const {
  Point point(dimensions.size());
  for (std::size_t d = dimensions.size(); d-- > 0;) {
    const std::vector<std::string> values = dimensions[d].grid(search.grid_points);
    point[d] = values[index % values.size()];
    index /= values.size();
  }
  if (index > 0) return {};
  return point;
}

Recipe SearchSpace::recipe(const Point& point) const {
  std::vector<std::string> overrides;
  for (std::size_t d = 0; d < dimensions.size(); ++d) overrides.push_back(dimensions[d].key + "=" + point[d]);
  Recipe recipe = parse_recipe(write_recipe(base), "the base recipe", overrides);
  check(recipe);
  return recipe;
}

std::string SearchSpace::json(const Point& point) const {
  std::string text;
  for (std::size_t d = 0; d < dimensions.size(); ++d)
    text += (d == 0 ? "{" : ", ") + toml_text(dimensions[d].key) + ": " + point[d];
  return text + "}";
}

Point SearchSpace::parse(std::string_view text) const {
  const auto json = nlohmann::ordered_json::parse(text, nullptr, false);
  Point point;
  for (const Dimension& dimension : dimensions) {
    if (!json.is_object() || !json.contains(dimension.key))
      throw Error("the trial \"{}\" has no {}: the trials file is of another space, or altered", text, dimension.key);
    point.push_back(json[dimension.key].dump());
  }
  return point;
}

std::int64_t SearchSpace::count() const {
  double product = 1.0;
  for (const Dimension& dimension : dimensions)
    product *= static_cast<double>(search.strategy == "grid"
                                       ? static_cast<std::int64_t>(dimension.grid(search.grid_points).size())
                                       : dimension.count());
  return static_cast<std::int64_t>(std::min(product, 9e18));
}

std::string SearchSpace::fingerprint() const {
  SearchConfig same = search;  // how long and what is kept may change
  same.trials = 0;
  same.minutes = 0.0;
  same.keep.clear();
  std::string text = write_recipe(base);
  SearchConfig::fields(same, [&](const char* key, const auto& member, const char*, const Allowed& = {}) {
    if constexpr (std::is_same_v<std::remove_cvref_t<decltype(member)>, std::vector<std::string>>)
      for (const std::string& one : member) text += format("{} = {}\n", key, one);
    else
      text += format("{} = {}\n", key, member);
  });
  for (const Dimension& dimension : dimensions) {
    text +=
        format("{} {} {} {} {}", dimension.key, dimension.low, dimension.high, dimension.whole, dimension.logarithmic);
    for (const std::string& choice : dimension.choices) text += " " + choice;
    text += "\n";
  }
  std::uint64_t hash = 0;
  for (const char c : text) hash = mix64(hash ^ static_cast<unsigned char>(c));
  return std::to_string(hash);
}

bool is_minimised(const std::string& objective) {
  for (const char* name : {"loss", "perplexity", "bits_per_character", "ter", "parameters", "latency"})
    if (objective == name) return true;
  return false;
}

}  // namespace heed
