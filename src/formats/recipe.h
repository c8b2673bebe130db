#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace heed {

/// What stands in a recipe where no value that a recipe knows can stand: "a table", "a date", "an array with a number".
struct OtherValue {
  std::string what;
};

/// One `key = value` of a recipe.
struct RecipeEntry {
  std::string section;  ///< "" at the top; "tasks.NAME" of a task's
  std::string key;
  std::variant<bool, std::int64_t, double, std::string, std::vector<std::string>, std::vector<std::int64_t>, OtherValue>
      value;
  std::string place;     ///< "recipe.toml, line 12, column 8" or "--set training.rate=0.1"
  std::string override;  ///< of an override: the value as it was written, for keys that hold text
  bool is_override = false;

  /// "training.rate", or "task" at the top.
  std::string name() const { return section.empty() ? key : section + "." + key; }
  /// What was found, for an error: "the text \"fast\"", "the number 3", "a table".
  std::string found() const;
};

/// A `[section]` that stands in a recipe, with or without keys.
struct RecipeSection {
  std::string name;
  std::string place;
};

/// The keys and sections of a recipe in the file's order, before anything is known of what they mean.
struct RecipeText {
  std::vector<RecipeEntry> entries;
  std::vector<RecipeSection> sections;
};

/// Reads TOML 1.0. `name` stands for the file in errors. A byte order mark is dropped. Throws Error with line and
/// column where the text is not TOML or not UTF-8. Tables within [tasks] are sections, "tasks.NAME".
RecipeText parse_recipe_text(std::string_view text, const std::string& name);

using TomlScalar = std::variant<bool, std::int64_t, double, std::string>;

/// One value of a TOML file whose tables may lie in each other.
struct TomlLeaf {
  std::vector<std::string> path;  ///< of the tables, the key last
  std::variant<TomlScalar, std::vector<TomlScalar>, OtherValue> value;
  std::string place;  ///< "space.toml, line 12, column 8"
};

/// All values of a TOML 1.0 text, in the order of the file; an empty table is one with an OtherValue. Throws Error as
/// parse_recipe_text does.
std::vector<TomlLeaf> parse_toml_leaves(std::string_view text, const std::string& name);
/// A value as TOML (and, finite, as JSON) writes it.
std::string toml_scalar(const TomlScalar& value);

/// Reads an override "section.key=value" ("key=value" at the top). The value is TOML; what is not TOML is a bare word,
/// taken as text. Throws Error when there is no '=', and when a value that starts like a list or a quoted text is not
/// TOML.
RecipeEntry parse_override(std::string_view text);

/// A text as TOML writes it: in double quotes, with escapes. Throws Error when it is not UTF-8.
std::string toml_text(std::string_view text);
/// The shortest decimal that reads back as the same double, always with a point or an exponent.
std::string toml_number(double number);

}  // namespace heed
