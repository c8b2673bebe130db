#include <heed/error.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <map>
#include <set>

#include "experiments/search_space.h"
#include "formats/recipe.h"
#include "train/recipe_keys.h"

namespace heed {

namespace {

namespace fs = std::filesystem;

std::string joined_path(const std::vector<std::string>& path, std::size_t from) {
  std::string text;
  for (std::size_t i = from; i < path.size(); ++i) text += (i > from ? "." : "") + path[i];
  return text;
}

/// Puts a value of [search] into its member; false when the type does not fit.
template <class T>
bool assign(T& member, const TomlLeaf& leaf) {
  if (const auto* list = std::get_if<std::vector<TomlScalar>>(&leaf.value)) {
    if constexpr (std::is_same_v<T, std::vector<std::string>>) {
      member.clear();
      for (const TomlScalar& one : *list) {
        if (!std::holds_alternative<std::string>(one)) return false;
        member.push_back(std::get<std::string>(one));
      }
      return true;
    }
    return false;
  }
  const auto* scalar = std::get_if<TomlScalar>(&leaf.value);
  if (!scalar) return false;
  const auto* integer = std::get_if<std::int64_t>(scalar);
  if constexpr (std::is_same_v<T, std::vector<std::string>>) {
    if (!std::holds_alternative<std::string>(*scalar)) return false;
    member = {std::get<std::string>(*scalar)};
    return true;
  } else if constexpr (std::is_same_v<T, std::uint64_t>) {
    if (!integer || *integer < 0) return false;
    member = static_cast<std::uint64_t>(*integer);
    return true;
  } else if constexpr (std::is_same_v<T, double>) {
    if (integer) return member = static_cast<double>(*integer), true;
    if (!std::holds_alternative<double>(*scalar)) return false;
    return member = std::get<double>(*scalar), true;
  } else {
    if (!std::holds_alternative<T>(*scalar)) return false;
    return member = std::get<T>(*scalar), true;
  }
}

void set_search_key(SearchConfig& search, const std::string& key, const TomlLeaf& leaf) {
  bool known = false;
  std::string all;
  SearchConfig::fields(search, [&](const char* name, auto& member, const char*, const Allowed& allowed = {}) {
    (all += all.empty() ? "" : ", ") += name;
    if (key != name) return;
    known = true;
    if (!assign(member, leaf))
      throw Error("search.{}: a value of another type ({}); heed search --help-space shows what it may be", key,
                  leaf.place);
    if (const auto wrong = problem(member, allowed)) throw Error("search.{}: {} ({})", key, *wrong, leaf.place);
  });
  if (!known) throw Error("search.{}: unknown key; [search] has {} ({})", key, all, leaf.place);
}

/// Applies an override, and tells of what is wrong with it by its place in the space file.
Recipe with_value(const Recipe& recipe, const std::string& key, const std::string& value, const std::string& place) {
  const std::string override = key + "=" + value;
  try {
    return parse_recipe(write_recipe(recipe), "the base recipe", {override});
  } catch (const Error& error) {
    std::string sentence = error.what();
    const std::string told = "(--set " + override + ")";
    if (const auto at = sentence.find(told); at != sentence.npos) sentence.replace(at, told.size(), "(" + place + ")");
    throw Error("{}", sentence);
  }
}

struct KeyOfRecipe {
  bool known = false, takes_fractions = false;
};

KeyOfRecipe key_of_recipe(const std::string& key) {
  KeyOfRecipe found;
  const Recipe recipe;
  visit_keys(recipe, [&](const std::string& section, const std::string& name, const auto& member, std::string_view,
                         const Allowed&) {
    if (joined(section, name) == key) found = {true, std::is_same_v<std::remove_cvref_t<decltype(member)>, double>};
  });
  return found;
}

/// The keys of a range, { from = 1e-4, to = 1e-2, scale = "log" }, as they are found one after the other.
struct Range {
  std::map<std::string, TomlScalar> parts;
  std::string place;
};

double number_of(const TomlScalar& value, const std::string& key, const std::string& place) {
  if (const auto* integer = std::get_if<std::int64_t>(&value)) return static_cast<double>(*integer);
  if (const auto* number = std::get_if<double>(&value); number && std::isfinite(*number)) return *number;
  throw Error("space.{}: expected a number, found {} ({})", key, toml_scalar(value), place);
}

Dimension make_range(const std::string& key, const Range& range) {
  Dimension dimension{.key = key, .choices = {}, .place = range.place};
  const auto part = [&](const char* name) -> const TomlScalar* {
    const auto found = range.parts.find(name);
    return found == range.parts.end() ? nullptr : &found->second;
  };
  if (!part("from") || !part("to"))
    throw Error("space.{}: a range needs from and to, as { from = 1, to = 4 } ({})", key, range.place);
  dimension.low = number_of(*part("from"), key, range.place);
  dimension.high = number_of(*part("to"), key, range.place);
  dimension.whole = !key_of_recipe(key).takes_fractions;
  const bool whole_ends = dimension.low == std::floor(dimension.low) && dimension.high == std::floor(dimension.high);
  if (dimension.whole && !whole_ends)
    throw Error("space.{}: a whole number is asked for, the range has fractions ({})", key, range.place);
  if (dimension.low > dimension.high)
    throw Error("space.{}: the range from {} to {} is empty ({})", key, dimension.low, dimension.high, range.place);
  if (const TomlScalar* scale = part("scale")) {
    if (*scale != TomlScalar("log") && *scale != TomlScalar("linear"))
      throw Error("space.{}.scale: expected \"linear\" or \"log\", found {} ({})", key, toml_scalar(*scale),
                  range.place);
    dimension.logarithmic = *scale == TomlScalar("log");
  }
  if (dimension.logarithmic && dimension.low <= 0.0)
    throw Error("space.{}: a logarithmic range begins above 0, found {} ({})", key, dimension.low, range.place);
  if (const TomlScalar* step = part("step")) {
    const double by = number_of(*step, key, range.place);
    if (by <= 0.0 || (dimension.whole && by != std::floor(by)) || (dimension.high - dimension.low) / by > 1e6)
      throw Error("space.{}.step: expected {} above 0 that makes less than a million values, found {} ({})", key,
                  dimension.whole ? "a whole number" : "a number", by, range.place);
    for (std::int64_t i = 0; dimension.low + static_cast<double>(i) * by <= dimension.high + 1e-9 * by; ++i) {
      const double value = std::min(dimension.low + static_cast<double>(i) * by, dimension.high);
      dimension.choices.push_back(dimension.whole ? std::to_string(std::llround(value))
                                                  : toml_number(std::round(value * 1e12) / 1e12));
    }
  }
  return dimension;
}

/// Every value, or the ends of a range, must be what its key allows.
void check_dimension(const Recipe& base, const Dimension& dimension) {
  if (dimension.key.starts_with("data.") || dimension.key == "task")
    throw Error("space.{}: trials are compared on the same data; choose keys of other sections ({})", dimension.key,
                dimension.place);
  const std::vector<std::string> values =
      dimension.choices.empty() ? std::vector<std::string>{dimension.at(0.0), dimension.at(1.0)} : dimension.choices;
  for (const std::string& value : values) with_value(base, dimension.key, value, dimension.place);
}

void check_objectives(SearchSpace& space, const std::string& name) {
  SearchConfig& search = space.search;
  if (search.objectives.empty()) throw Error("search.objectives: name at least one ({})", name);
  const auto measured_here = [](const std::string& objective) {
    return objective == "parameters" || objective == "latency";
  };
  if (measured_here(search.objectives.front()))
    throw Error("search.objectives: the first is a metric of validation, for instance loss, found \"{}\" ({})",
                search.objectives.front(), name);
  std::set<std::string> seen;
  for (auto objective = search.objectives.rbegin(); objective != search.objectives.rend(); ++objective) {
    if (!seen.insert(*objective).second)
      throw Error("search.objectives: \"{}\" stands there twice ({})", *objective, name);
    if (measured_here(*objective)) continue;
    try {
      space.base = with_value(space.base, "training.best_by", toml_text(*objective), name);
      check(space.base);
    } catch (const Error& error) {
      throw Error("search.objectives: \"{}\" is no metric of this task's validation: {} ({})", *objective, error.what(),
                  name);
    }
  }
}

void check_rungs(const SearchSpace& space, const std::string& name) {
  const SearchConfig& search = space.search;
  if (search.strategy != "asha") return;
  const TrainingConfig& training = space.base.training;
  const double last = search.rung_by == "epochs"  ? training.epochs
                      : search.rung_by == "steps" ? static_cast<double>(training.steps)
                                                  : training.minutes;
  if (last <= 0.0)
    throw Error("search.rung_by = \"{}\": the recipe has no training.{}, which is where the last rung ends ({})",
                search.rung_by, search.rung_by, name);
  if (search.first_rung >= last)
    throw Error("search.first_rung = {} is not below training.{} = {}, where the last rung ends ({})",
                search.first_rung, search.rung_by, last, name);
  for (const Dimension& dimension : space.dimensions)
    if (dimension.key == "training." + search.rung_by)
      throw Error("space.{}: rungs are counted by it; leave it out, or set search.rung_by to another ({})",
                  dimension.key, dimension.place);
}

}  // namespace

SearchSpace read_search_space(const fs::path& path, const std::vector<std::string>& overrides) {
  std::ifstream file(path, std::ios::binary);
  if (!file || fs::is_directory(path))
    throw Error("cannot read the space file {}: there is no such file, or it may not be read", path.string());
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  const std::string name = path.string();
  SearchSpace space;
  std::string recipe;
  std::vector<std::pair<std::string, TomlLeaf>> sets, choices;
  std::vector<std::string> order;
  std::map<std::string, Range> ranges;
  for (const TomlLeaf& leaf : parse_toml_leaves(text, name)) {
    const std::string& top = leaf.path.front();
    const std::string key = joined_path(leaf.path, 1);
    const auto* scalar = std::get_if<TomlScalar>(&leaf.value);
    const auto* written = scalar ? std::get_if<std::string>(scalar) : nullptr;
    if (top == "recipe" || top == "description") {
      if (!written || !key.empty()) throw Error("{}: expected a text in quotes ({})", top, leaf.place);
      (top == "recipe" ? recipe : space.description) = *written;
    } else if (top != "search" && top != "set" && top != "space") {
      throw Error("{}: unknown; a space file has recipe, description, [search], [set] and [space] ({})",
                  joined_path(leaf.path, 0), leaf.place);
    } else if (key.empty()) {
      if (!std::holds_alternative<OtherValue>(leaf.value))
        throw Error("{}: expected a section [{}] with keys ({})", top, top, leaf.place);
    } else if (top == "search") {
      set_search_key(space.search, key, leaf);
    } else if (top == "set") {
      if (!scalar) throw Error("set.{}: expected a single value ({})", key, leaf.place);
      sets.emplace_back(key, leaf);
    } else if (const std::string& last = leaf.path.back();
               leaf.path.size() == 4 && (last == "from" || last == "to" || last == "step" || last == "scale")) {
      if (!scalar) throw Error("space.{}: expected a single value ({})", key, leaf.place);
      const std::string dimension = joined_path({leaf.path.begin(), leaf.path.end() - 1}, 1);
      if (ranges[dimension].parts.empty()) order.push_back(dimension), ranges[dimension].place = leaf.place;
      ranges[dimension].parts[last] = *scalar;
    } else if (leaf.path.size() > 3) {
      throw Error("space.{}: unknown; a range has from, to, step and scale ({})", key, leaf.place);
    } else {
      order.push_back(key);
      choices.emplace_back(key, leaf);
    }
  }
  if (recipe.empty()) throw Error("{}: names no base recipe; write recipe = \"recipe.toml\"", name);
  const fs::path recipe_path = path.parent_path() / recipe;
  space.base = read_recipe(recipe_path);
  resolve_paths(space.base, recipe_path.parent_path());
  for (const auto& [key, leaf] : sets) {
    std::string value = toml_scalar(std::get<TomlScalar>(leaf.value));
    space.base = with_value(space.base, key, value, leaf.place);
    if (key.starts_with("data.") || key == "vocabulary.from" || key == "training.start_from")
      resolve_paths(space.base, path.parent_path());
  }
  if (!overrides.empty()) space.base = parse_recipe(write_recipe(space.base), name, overrides);
  resolve_paths(space.base, fs::current_path());
  check(space.base);

  for (const std::string& key : order) {
    const TomlLeaf* listed = nullptr;
    for (const auto& [name_of_list, leaf] : choices)
      if (name_of_list == key) listed = &leaf;
    if (!key_of_recipe(key).known)
      with_value(space.base, key, "0", listed ? listed->place : ranges.at(key).place);  // says what was meant
    if (const auto range = ranges.find(key); range != ranges.end()) {
      with_value(space.base, key, toml_scalar(range->second.parts.begin()->second), range->second.place);
      space.dimensions.push_back(make_range(key, range->second));
    } else {
      const auto* list = std::get_if<std::vector<TomlScalar>>(&listed->value);
      if (!list || list->empty())
        throw Error("space.{}: expected a list of values, as [1, 2], or a range, as { from = 1, to = 4 } ({})", key,
                    listed->place);
      Dimension dimension{.key = key, .choices = {}, .place = listed->place};
      for (const TomlScalar& value : *list) dimension.choices.push_back(toml_scalar(value));
      space.dimensions.push_back(std::move(dimension));
    }
    check_dimension(space.base, space.dimensions.back());
  }
  if (space.dimensions.empty())
    throw Error("{}: the space is empty; [space] names the keys that may change, as model.layers = [1, 2]", name);
  check_objectives(space, name);
  check_rungs(space, name);
  const DataConfig& data = space.base.data;
  if (data.validation.empty() && data.validation_split == 0.0 && data.validation_every == 0)
    throw Error(
        "{}: trials are compared on validation data, and the recipe has none; give data.validation or "
        "data.validation_split",
        recipe_path.string());
  return space;
}

std::string documented_search_space() {
  std::string text =
      "# A search: a base recipe, the keys that may change, and how good recipes are sought.\n\n"
      "recipe = \"recipe.toml\"        # the base, relative to this file\n"
      "description = \"\"              # a sentence for people\n\n[search]\n";
  const SearchConfig search;
  SearchConfig::fields(search, [&](const char* key, const auto& member, const char* doc, const Allowed& = {}) {
    std::string value;
    if constexpr (std::is_same_v<std::remove_cvref_t<decltype(member)>, std::vector<std::string>>)
      value = "[" + toml_text(member.front()) + "]";
    else if constexpr (std::is_same_v<std::remove_cvref_t<decltype(member)>, std::string>)
      value = toml_text(member);
    else if constexpr (std::is_same_v<std::remove_cvref_t<decltype(member)>, double>)
      value = toml_number(member);
    else
      value = std::to_string(member);
    text += format("# {}\n{} = {}\n", doc, key, value);
  });
  return text +
         "\n# Overrides of the base recipe that all trials share; any key of `heed train --help-recipe`.\n[set]\n"
         "# training.epochs = 9\n"
         "\n# What may change: any key of a recipe but its data. A list, or a range.\n[space]\n"
         "model.layers = [1, 2]                                           # one of these\n"
         "model.pooling = [\"mean\", \"max\"]\n"
         "training.rate = { from = 1e-4, to = 1e-2, scale = \"log\" }       # equal ratios are equally likely\n"
         "model.dropout = { from = 0.0, to = 0.6, step = 0.1 }            # 0, 0.1, … 0.6\n"
         "vocabulary.size = { from = 2000, to = 20000 }                   # whole numbers, as the key asks\n";
}

}  // namespace heed
