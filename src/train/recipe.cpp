#include "train/recipe.h"

#include <heed/error.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <numeric>
#include <optional>
#include <type_traits>

#include "formats/recipe.h"
#include "train/recipe_keys.h"

namespace heed {
namespace {

const char* type_name(const bool&) { return "true or false"; }
const char* type_name(const std::int64_t&) { return "a whole number"; }
const char* type_name(const std::uint64_t&) { return "a whole number of 0 or more"; }
const char* type_name(const double&) { return "a number"; }
const char* type_name(const std::string&) { return "a text in quotes"; }
const char* type_name(const std::vector<std::string>&) { return "a text in quotes, or a list of them"; }
const char* type_name(const std::vector<std::int64_t>&) { return "a whole number, or a list of them"; }

/// Puts the entry's value into a member; false when its type does not fit.
template <class T>
bool assign(T& member, const RecipeEntry& entry) {
  const auto* integer = std::get_if<std::int64_t>(&entry.value);
  const auto* text = std::get_if<std::string>(&entry.value);
  if constexpr (std::is_same_v<T, std::uint64_t>) {
    if (!integer || *integer < 0) return false;
    member = static_cast<std::uint64_t>(*integer);
    return true;
  } else {
    if (const T* value = std::get_if<T>(&entry.value)) {
      member = *value;
      return true;
    }
    if constexpr (std::is_same_v<T, double>) {
      if (!integer) return false;
      member = static_cast<double>(*integer);
      return true;
    } else if constexpr (std::is_same_v<T, std::string>) {
      // In an override, 3 or true may be the text that a key asks for: the shell has taken the quotes.
      if (!entry.is_override || std::holds_alternative<std::vector<std::string>>(entry.value)) return false;
      member = entry.override;
      return true;
    } else if constexpr (std::is_same_v<T, std::vector<std::string>>) {
      const bool list = entry.override.starts_with('[');  // with something in it that is no text
      if (!text && (!entry.is_override || list)) return false;
      member = {text ? *text : entry.override};
      return true;
    } else if constexpr (std::is_same_v<T, std::vector<std::int64_t>>) {
      const auto* list = std::get_if<std::vector<std::string>>(&entry.value);
      if (!integer && !(list && list->empty())) return false;
      member.clear();
      if (integer) member.push_back(*integer);
      return true;
    }
    return false;
  }
}

/// Insertions, deletions, substitutions and swaps of neighbours that lead from one name to the other.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before(b.size() + 1), row(b.size() + 1), next(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    next[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      next[j] = std::min({row[j] + 1, next[j - 1] + 1, row[j - 1] + (a[i - 1] != b[j - 1])});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        next[j] = std::min(next[j], before[j - 2] + 1);
    }
    before.swap(row);
    row.swap(next);
  }
  return row.back();
}

/// How unlikely it is that one name was meant by the other; from `never` on no suggestion is made of it.
constexpr std::size_t never = 1000;
std::size_t unlikeness(std::string_view written, std::string_view known) {
  const std::size_t distance = edit_distance(written.substr(0, 100), known);  // longer names are nobody's slip
  return distance <= std::max<std::size_t>(1, std::min(written.size(), known.size()) / 3) ? distance : never;
}

/// The known key that was probably meant by an unknown one: spelt alike, in the same section or in another; or a whole
/// word of it (learning_rate for rate).
std::string nearest_key(const std::string& section, const std::string& key) {
  std::string nearest;
  std::size_t least = never;
  const Recipe recipe;
  visit_keys(recipe, [&](const std::string& other, const std::string& known, auto&, std::string_view, const Allowed&) {
    std::size_t score = 2 * unlikeness(key, known) + (other == section ? 0 : 1);
    const bool word = key.ends_with("_" + known) || key.starts_with(known + "_");
    if (word && other == section) score = std::min<std::size_t>(score, 2);
    if (score < least) {
      least = score;
      nearest = joined(other, known);
    }
  });
  return nearest;
}

std::vector<std::string> section_names() {
  std::vector<std::string> names;
  const Recipe recipe;
  Recipe::sections(recipe, [&](const char* name, auto&, const char*) { names.emplace_back(name); });
  return names;
}

[[noreturn]] void refuse_section(const std::string& name, const std::string& place) {
  std::string nearest, all;
  std::size_t least = never;
  for (const std::string& known : section_names()) {
    (all += all.empty() ? "[" : ", [") += known + "]";
    if (const std::size_t score = unlikeness(name, known); score < least) {
      least = score;
      nearest = known;
    }
  }
  if (nearest.empty()) throw Error("[{}]: unknown section; the sections are {} ({})", name, all, place);
  throw Error("[{}]: unknown section; did you mean [{}]? ({})", name, nearest, place);
}

[[noreturn]] void refuse_key(const RecipeEntry& entry) {
  const std::string nearest = nearest_key(entry.section, entry.key);
  if (!nearest.empty()) throw Error("{}: unknown key; did you mean {}? ({})", entry.name(), nearest, entry.place);
  std::string all;
  const Recipe recipe;
  visit_keys(recipe, [&](const std::string& section, const std::string& key, auto&, std::string_view, const Allowed&) {
    if (section == entry.section) (all += all.empty() ? "" : ", ") += key;
  });
  throw Error("{}: unknown key; {} has {} ({})", entry.name(),
              entry.section.empty() ? "the top of a recipe" : "[" + entry.section + "]", all, entry.place);
}

/// The task of a section "tasks.NAME", made as [data] has it when it is met first; null for another section.
TaskConfig* task_of(Recipe& recipe, const std::string& section) {
  if (!section.starts_with("tasks.")) return nullptr;
  const std::string name = section.substr(6);
  for (TaskConfig& task : recipe.tasks)
    if (task.name == name) return &task;
  TaskConfig task;
  task.name = name;
  task.data = recipe.data;
  return &*recipe.tasks.insert(std::find_if(recipe.tasks.begin(), recipe.tasks.end(),
                                            [&](const TaskConfig& other) { return other.name > name; }),
                               std::move(task));
}

void apply(Recipe& recipe, const RecipeEntry& entry) {
  const std::vector<std::string> sections = section_names();
  const auto is_section = [&](const std::string& name) {
    return std::find(sections.begin(), sections.end(), name) != sections.end();
  };
  if (entry.section.empty() && is_section(entry.key))
    throw Error("{}: expected a section [{}] with keys, found {} ({})", entry.key, entry.key, entry.found(),
                entry.place);
  TaskConfig* const task = task_of(recipe, entry.section);
  if (!task && !entry.section.empty() && !is_section(entry.section)) refuse_section(entry.section, entry.place);

  bool known = false;
  const auto put = [&](const std::string& section, const std::string& key, auto& member, std::string_view,
                       const Allowed& allowed = {}) {
    if (section != entry.section || key != entry.key) return;
    known = true;
    if (!assign(member, entry))
      throw Error("{}: expected {}, found {} ({})", entry.name(), type_name(member), entry.found(), entry.place);
    if (const auto wrong = problem(member, allowed)) throw Error("{}: {} ({})", entry.name(), *wrong, entry.place);
  };
  if (!task) {
    visit_keys(recipe, put);
    if (!known) refuse_key(entry);
    return;
  }
  visit_task_keys(*task, put);
  if (!known)
    throw Error("{}: unknown key; a task has task, weight and the keys of [data] ({})", entry.name(), entry.place);
}

}  // namespace

Recipe parse_recipe(std::string_view text, const std::string& name, const std::vector<std::string>& overrides) {
  const RecipeText source = parse_recipe_text(text, name);
  const std::vector<std::string> sections = section_names();
  for (const RecipeSection& section : source.sections)
    if (section.name != "tasks" && std::find(sections.begin(), sections.end(), section.name) == sections.end())
      refuse_section(section.name, section.place);
  std::vector<RecipeEntry> entries = source.entries;
  for (const std::string& text_of_override : overrides) entries.push_back(parse_override(text_of_override));
  // Tasks start from [data], which must be known.
  std::stable_partition(entries.begin(), entries.end(),
                        [](const RecipeEntry& entry) { return !entry.section.starts_with("tasks"); });
  Recipe recipe;
  for (const RecipeEntry& entry : entries) apply(recipe, entry);
  return recipe;
}

Recipe recipe_of(const Recipe& recipe, const TaskConfig& task) {
  Recipe one = recipe;
  one.task = task.task;
  one.data = task.data;
  one.model.segments &= task.task == "question-answering";
  one.tasks.clear();
  return one;
}

Recipe read_recipe(const std::filesystem::path& path, const std::vector<std::string>& overrides) {
  if (std::filesystem::is_directory(path))
    throw Error("{} is a folder, expected a recipe: a TOML file (heed train --help-recipe shows one)", path.string());
  std::ifstream file(path, std::ios::binary);
  if (!file) throw Error("cannot read the recipe {}: there is no such file, or it may not be read", path.string());
  const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  if (file.bad()) throw Error("cannot read the recipe {}: reading stopped after {} bytes", path.string(), text.size());
  return parse_recipe(text, path.string(), overrides);
}

void resolve_paths(Recipe& recipe, const std::filesystem::path& folder) {
  const auto resolve = [&](std::string& path) {
    if (!path.empty()) path = (folder / path).lexically_normal().string();  // an absolute path stays
  };
  const auto resolve_data = [&](DataConfig& data) {
    for (auto* paths :
         {&data.train, &data.validation, &data.test, &data.train_target, &data.validation_target, &data.test_target})
      std::for_each(paths->begin(), paths->end(), resolve);
    resolve(data.label_names);
  };
  resolve_data(recipe.data);
  for (TaskConfig& task : recipe.tasks) resolve_data(task.data);
  resolve(recipe.vocabulary.from);
  resolve(recipe.vocabulary.vectors);
  resolve(recipe.training.start_from);
}

}  // namespace heed
