#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "formats/utf8.h"
#include "train/recipe.h"
#include "train/recipe_keys.h"

namespace heed {
namespace {

constexpr std::size_t page_width = 118;     // columns of a documented recipe
constexpr std::size_t comment_column = 30;  // more than every key with its default

std::string written(bool value) { return value ? "true" : "false"; }
std::string written(std::int64_t value) { return std::to_string(value); }
std::string written(std::uint64_t value) { return std::to_string(value); }
std::string written(double value) { return toml_number(value); }
std::string written(const std::string& value) { return toml_text(value); }
std::string written(const std::vector<std::string>& values) {
  std::string list;
  for (const std::string& value : values) (list += list.empty() ? "" : ", ") += toml_text(value);
  return "[" + list + "]";
}

std::string written(const std::vector<std::int64_t>& values) {
  std::string list;
  for (const std::int64_t value : values) (list += list.empty() ? "" : ", ") += std::to_string(value);
  return "[" + list + "]";
}

std::size_t columns(std::string_view text) { return static_cast<std::size_t>(utf8_length(text)); }

/// `text` in lines of at most `width` columns, broken at spaces.
std::vector<std::string> wrapped(std::string_view text, std::size_t width) {
  std::vector<std::string> lines(1);
  while (!text.empty()) {
    const std::string_view word = text.substr(0, text.find(' '));
    text.remove_prefix(std::min(text.size(), word.size() + 1));
    if (!lines.back().empty() && columns(lines.back()) + 1 + columns(word) > width) lines.emplace_back();
    if (!lines.back().empty()) lines.back() += ' ';
    lines.back() += word;
  }
  return lines;
}

/// A key's documentation with what it may hold, where the words do not say so and nobody would guess.
std::string documentation(std::string_view doc, const Allowed& allowed) {
  const bool count = allowed.least_itself && (allowed.least == 0 || allowed.least == 1) && std::isinf(allowed.most);
  const bool said =
      !allowed.choices.empty() && std::all_of(allowed.choices.begin(), allowed.choices.end(),
                                              [&](const std::string& choice) { return doc.find(choice) != doc.npos; });
  return allowed.any() || count || said ? std::string(doc) : format("{} ({})", doc, allowed.text());
}

}  // namespace

std::string write_recipe(const Recipe& recipe, bool documented) {
  std::string text, section;
  const auto begin_section = [&](const std::string& name) {
    section = name;
    text += "\n";
    if (documented)
      Recipe::sections(recipe, [&](const char* known, auto&, const char* doc) {
        if (known == name) text += format("# {}\n", doc);
      });
    text += format("[{}]\n", name);
  };
  if (documented) {
    text += "# A recipe with every key and its default. Leave out what you do not change.\n";
    text += "# Paths are relative to the recipe; a key that takes a list takes a single text as well.\n\n";
  }
  visit_keys(recipe, [&](const std::string& of, const std::string& key, const auto& member, std::string_view doc,
                         const Allowed& allowed) {
    if (of != section) begin_section(of);
    std::string line = format("{} = {}", key, written(member));
    // The task has no default, and "" would not read back.
    if (of.empty() && key == "task" && recipe.task.empty()) line = documented ? "# task = \"…\"" : "";
    if (!documented) {
      if (!line.empty()) text += line + "\n";
      return;
    }
    // Comments stand in a column of their own, or above a value that reaches into it.
    const bool beside = columns(line) + 2 <= comment_column;
    const std::size_t margin = beside ? comment_column : 0;
    std::string left = beside ? line : "";
    for (const std::string& words : wrapped(documentation(doc, allowed), page_width - margin - 2)) {
      text += left;
      text.append(margin - columns(left), ' ');
      text += format("# {}\n", words);
      left.clear();
    }
    if (!beside) text += line + "\n";
  });
  if (documented)
    text +=
        "\n# Several tasks over one encoder: task = \"multi-task\", and for each of them a section such as\n"
        "# [tasks.trec]\n# task = \"classification\"      # or question-answering\n"
        "# weight = 1.0                 # what its loss is multiplied by\n"
        "# train = \"trec.txt\"           # and any other key of [data], whose values are taken where none is given\n";
  for (const TaskConfig& task : recipe.tasks) {
    TaskConfig plain;
    plain.data = recipe.data;
    std::vector<std::string> same;
    visit_task_keys(plain, [&](const std::string&, const std::string&, const auto& member, auto&&...) {
      same.push_back(written(member));
    });
    std::size_t index = 0;
    text += format("\n[tasks.{}]\n", task.name);
    visit_task_keys(task, [&](const std::string&, const std::string& key, const auto& member, auto&&...) {
      if (written(member) != same[index++] || key == "task") text += format("{} = {}\n", key, written(member));
    });
  }
  return text;
}

}  // namespace heed
