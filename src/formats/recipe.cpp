#include "formats/recipe.h"

#include <heed/error.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <tuple>
#include <utility>

#include "formats/utf8.h"

// toml++ 3.3 asserts, or lets the compiler assume, what "[é]" breaks, and has the right error just behind: so no
// assertions (and without NDEBUG, no assumptions).
#undef NDEBUG
#define TOML_ASSERT(expression) static_assert(true)
#include <toml++/toml.h>

namespace heed {
namespace {

std::string place_of(const toml::source_position& at, const std::string& name) {
  return format("{}, line {}, column {}", name, at.line, at.column);
}

const char* kind_of(const toml::node& node) {
  switch (node.type()) {
    case toml::node_type::table:
      return "a table";
    case toml::node_type::array:
      return "an array";
    case toml::node_type::string:
      return "a text";
    case toml::node_type::integer:
    case toml::node_type::floating_point:
      return "a number";
    case toml::node_type::boolean:
      return "a true or false";
    case toml::node_type::date:
      return "a date";
    case toml::node_type::time:
      return "a time";
    default:
      return "a date and time";
  }
}

/// The remedy for the commonest slip, a text without quotes; "" where the line has none.
std::string remedy(std::string_view text, const toml::source_position& at) {
  for (toml::source_index line = 1; line < at.line; ++line) text.remove_prefix(text.find('\n') + 1);
  text = text.substr(0, text.find_first_of("\r\n"));
  const std::size_t equals = text.find('=');
  const std::size_t value = equals == text.npos ? equals : text.find_first_not_of(" \t", equals + 1);
  if (value == text.npos || !std::isalpha(static_cast<unsigned char>(text[value]))) return "";
  text = text.substr(value, text.find_first_of(" \t#", value) - value);
  return format("; a text stands in quotes: {}", toml_text(replace_bad_utf8(text)));
}

decltype(RecipeEntry::value) value_of(const toml::node& node) {
  if (auto value = node.as_boolean()) return value->get();
  if (auto value = node.as_integer()) return value->get();
  if (auto value = node.as_floating_point()) return value->get();
  if (auto value = node.as_string()) return value->get();
  const toml::array* array = node.as_array();
  if (!array) return OtherValue{kind_of(node)};
  std::vector<std::string> texts;
  for (const toml::node& element : *array) {
    if (!element.is_string()) return OtherValue{format("an array with {} in it", kind_of(element))};
    texts.push_back(element.as_string()->get());
  }
  return texts;
}

RecipeEntry entry_of(std::string section, const toml::key& key, const toml::node& node, const std::string& name) {
  RecipeEntry entry;
  entry.section = std::move(section);
  entry.key = key.str();
  entry.value = value_of(node);
  // A table's place is its header's; a dotted key's implicit table has none, so the key's stands in.
  const bool placed = node.source().begin.line > 0;
  entry.place = place_of(placed ? node.source().begin : key.source().begin, name);
  return entry;
}

}  // namespace

std::string RecipeEntry::found() const {
  struct {
    std::string operator()(bool truth) { return truth ? "true" : "false"; }
    std::string operator()(std::int64_t number) { return format("the number {}", number); }
    std::string operator()(double number) { return "the number " + toml_number(number); }
    std::string operator()(const std::string& text) {
      const std::size_t most = 60;  // a sentence, not a page
      if (text.size() <= most) return "the text " + toml_text(text);
      std::size_t end = most;
      while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
      return "the text " + toml_text(text.substr(0, end)) + "…";
    }
    std::string operator()(const std::vector<std::string>& texts) {
      return format("a list of {} text{}", texts.size(), texts.size() == 1 ? "" : "s");
    }
    std::string operator()(const OtherValue& other) { return other.what; }
  } describe;
  return std::visit(describe, value);
}

RecipeText parse_recipe_text(std::string_view text, const std::string& name) {
  const toml::parse_result result = toml::parse(text, name);
  if (!result) {
    const toml::source_position at = result.error().source().begin;
    throw Error("{}: this is not TOML: {}{}", place_of(at, name), result.error().description(), remedy(text, at));
  }

  // toml++ keeps keys sorted; an error should name the first wrong line of the file.
  using Placed = std::pair<toml::source_position, RecipeEntry>;
  std::vector<Placed> entries;
  std::vector<std::pair<toml::source_position, RecipeSection>> sections;
  for (auto&& [key, node] : result.table()) {
    const toml::table* table = node.as_table();
    if (!table) {
      entries.emplace_back(key.source().begin, entry_of("", key, node, name));
      continue;
    }
    sections.emplace_back(key.source().begin,
                          RecipeSection{std::string(key.str()), place_of(key.source().begin, name)});
    for (auto&& [inner, value] : *table)
      entries.emplace_back(inner.source().begin, entry_of(std::string(key.str()), inner, value, name));
  }
  const auto earlier = [](const auto& a, const auto& b) {
    return std::tie(a.first.line, a.first.column) < std::tie(b.first.line, b.first.column);
  };
  std::stable_sort(entries.begin(), entries.end(), earlier);
  std::stable_sort(sections.begin(), sections.end(), earlier);
  RecipeText recipe;
  for (auto& [at, entry] : entries) recipe.entries.push_back(std::move(entry));
  for (auto& [at, section] : sections) recipe.sections.push_back(std::move(section));
  return recipe;
}

RecipeEntry parse_override(std::string_view text) {
  const std::size_t equals = text.find('=');
  if (equals == std::string_view::npos || equals == 0)
    throw Error("--set {}: expected section.key=value, for instance training.rate=0.001", text);
  if (!valid_utf8(text)) throw Error("--set {}: this is not UTF-8 text", replace_bad_utf8(text));
  const auto trim = [](std::string_view part) {
    const std::size_t begin = part.find_first_not_of(" \t");
    if (begin == std::string_view::npos) return std::string_view();
    return part.substr(begin, part.find_last_not_of(" \t") - begin + 1);
  };
  const std::string_view name = trim(text.substr(0, equals)), value = trim(text.substr(equals + 1));
  RecipeEntry entry;
  const std::size_t dot = name.find('.');
  if (dot != std::string_view::npos) entry.section = name.substr(0, dot);
  entry.key = dot == std::string_view::npos ? name : name.substr(dot + 1);
  entry.place = format("--set {}", text);
  entry.override = value;
  entry.is_override = true;
  const toml::parse_result result = toml::parse(format("value = {}\n", value));
  if (result && result.table().size() == 1)
    entry.value = value_of(*result.table().get("value"));
  else if (!result && !value.empty() && std::string_view("[\"'{").find(value[0]) != std::string_view::npos)
    throw Error("--set {}: the value is not TOML: {}", text, result.error().description());
  else
    entry.value = std::string(value);
  return entry;
}

std::string toml_text(std::string_view text) {
  if (const std::size_t bad = find_bad_utf8(text); bad != std::string_view::npos)
    throw Error("a recipe is UTF-8, but byte {} of the text \"{}\" is not", bad + 1, replace_bad_utf8(text));
  std::string written = "\"";
  for (char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\')
      (written += '\\') += c;
    else if (c == '\n')
      written += "\\n";
    else if (c == '\t')
      written += "\\t";
    else if (byte < 0x20 || byte == 0x7f)
      (written += "\\u00") += {"0123456789ABCDEF"[byte >> 4], "0123456789ABCDEF"[byte & 15]};
    else
      written += c;
  }
  return written + '"';
}

std::string toml_number(double number) {
  if (std::isnan(number)) return "nan";
  if (std::isinf(number)) return number < 0 ? "-inf" : "inf";
  char digits[32];
  std::string written(digits, std::to_chars(digits, digits + sizeof digits, number).ptr);
  if (written.find_first_of(".e") == std::string::npos) return written + ".0";
  // 1e-08 is 1e-8 to a reader
  if (const std::size_t e = written.find('e'); e != std::string::npos && written[e + 2] == '0') written.erase(e + 2, 1);
  return written;
}

}  // namespace heed
