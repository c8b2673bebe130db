#pragma once
#include <heed/detail/field.h>
#include <heed/error.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>

#include "formats/recipe.h"
#include "train/recipe.h"

namespace heed {

/// Calls f(section, key, member, doc, allowed) for each key of a recipe, in the order of its documentation.
void visit_keys(auto& recipe, auto&& f) {
  const auto in = [&](const char* section) {
    return [&f, section](const char* key, auto& member, const char* doc, const Allowed& allowed = {}) {
      f(std::string(section), std::string(key), member, std::string_view(doc), allowed);
    };
  };
  Recipe::fields(recipe, in(""));
  Recipe::sections(recipe, [&](const char* section, auto& config, const char*) {
    std::remove_cvref_t<decltype(config)>::fields(config, in(section));
  });
}

/// The same of a task's keys; sections are "tasks.NAME".
void visit_task_keys(auto& task, auto&& f) {
  TaskConfig::fields(task, [&](const char* key, auto& member, const char* doc, const Allowed& allowed = {}) {
    f("tasks." + task.name, std::string(key), member, std::string_view(doc), allowed);
  });
}

inline std::string joined(const std::string& section, const std::string& key) {
  return section.empty() ? key : section + "." + key;
}

/// What is wrong with a value for its key: "expected 0 or more, found -3"; nothing when it is allowed.
template <class T>
std::optional<std::string> problem(const T& value, const Allowed& allowed) {
  if constexpr (std::is_same_v<T, std::string>) {
    if (!allowed.has(value)) return format("expected {}, found {}", allowed.text(), toml_text(value));
  } else if constexpr (std::is_same_v<T, double>) {
    if (!allowed.has(value))
      return format("expected {}, found {}", allowed.any() ? "a finite number" : allowed.text(), toml_number(value));
  } else if constexpr (std::is_same_v<T, std::int64_t>) {
    if (!allowed.has(static_cast<double>(value))) return format("expected {}, found {}", allowed.text(), value);
  } else if constexpr (std::is_same_v<T, std::vector<std::int64_t>>) {
    for (const std::int64_t element : value)
      if (const auto wrong = problem(element, allowed)) return wrong;
  } else if constexpr (std::is_same_v<T, std::uint64_t>) {
    // TOML has no larger integers
    if (value >> 63 != 0) return format("expected 0 to 9223372036854775807, found {}", value);
  }
  return {};
}

}  // namespace heed
