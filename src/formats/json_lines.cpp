#include "formats/json_lines.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "formats/json_text.h"

namespace heed {

namespace {

using nlohmann::json;

/// The value of `key`, or of "b" in the object at "a" for "a.b"; null when there is none.
const json* find_value(const json& object, const std::string& key) {
  if (!object.is_object()) return nullptr;
  if (const auto found = object.find(key); found != object.end()) return &*found;
  const std::size_t dot = key.find('.');
  if (dot == std::string::npos) return nullptr;
  const auto outer = object.find(key.substr(0, dot));
  return outer == object.end() ? nullptr : find_value(*outer, key.substr(dot + 1));
}

std::string names_of(const json& object) {
  std::string names;
  for (const auto& [name, value] : object.items()) names.append(names.empty() ? "" : ", ").append(name);
  return names.empty() ? "nothing" : names;
}

bool is_list_of_strings(const json& value) {
  return value.is_array() && std::all_of(value.begin(), value.end(), [](const json& one) { return one.is_string(); });
}

/// Each string as a line; its own line ends become spaces.
std::string lines_of(const json& list) {
  std::string lines;
  for (const json& one : list) {
    std::string line = one.get<std::string>();
    std::replace(line.begin(), line.end(), '\n', ' ');
    (lines += lines.empty() ? "" : "\n") += line;
  }
  return lines;
}

json parse_object(const LineReader& lines, std::string_view text) {
  try {
    json object = json::parse(text);
    if (object.is_object()) return object;
    throw lines.error("a JSON object {…} was expected, this is a JSON {}", object.type_name());
  } catch (const json::parse_error& error) {
    throw lines.error("not a JSON object, at byte {} of the line: {}", error.byte, json_reason(error.what()));
  } catch (const json::exception& error) {  // a number beyond a double
    throw lines.error("not a JSON object: {}", json_reason(error.what()));
  }
}

}  // namespace

JsonLinesReader::JsonLinesReader(const std::filesystem::path& path, std::vector<std::string> keys, LineOptions options,
                                 FilePlace start)
    : JsonLinesReader(LineReader(path, options, start), std::move(keys)) {}

JsonLinesReader::JsonLinesReader(LineReader lines, std::vector<std::string> keys)
    : lines_(std::move(lines)), keys_(std::move(keys)) {}

bool JsonLinesReader::next() {
  std::string_view text;
  do {
    if (!lines_.next(text)) return false;
  } while (text.find_first_not_of(" \t\r") == std::string_view::npos);

  const json object = parse_object(lines_, text);
  fields_.clear();
  for (const std::string& key : keys_) {
    const json* value = find_value(object, key);
    if (!value) throw lines_.error("no key \"{}\"; the object has: {}", key, names_of(object));
    if (is_list_of_strings(*value)) {
      fields_.push_back(lines_of(*value));
    } else {
      if (!value->is_string() && !value->is_number() && !value->is_boolean())
        throw lines_.error("key \"{}\" is JSON {}; a string, a number, a boolean or a list of strings was expected",
                           key, value->type_name());
      fields_.push_back(value->is_string() ? value->get<std::string>() : value->dump());
    }
    if (fields_.back().find('\0') != std::string::npos)
      throw lines_.error("key \"{}\" holds the character U+0000, which is not text", key);
  }
  return true;
}

}  // namespace heed
