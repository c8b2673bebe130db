#include "text/examples.h"

#include <heed/error.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <set>

#include "text/rows.h"
#include "text/unicode.h"

namespace heed {

namespace fs = std::filesystem;

DataFiles data_files(const DataConfig& config, DataPart part, const fs::path& folder) {
  const auto absolute = [&](const std::vector<std::string>& names) {
    std::vector<fs::path> paths;
    for (const std::string& name : names) paths.push_back(folder / name);
    return paths;
  };
  switch (part) {
    case DataPart::train:
      return {absolute(config.train), absolute(config.train_target)};
    case DataPart::validation:
      return {absolute(config.validation), absolute(config.validation_target)};
    case DataPart::test:
      break;
  }
  return {absolute(config.test), absolute(config.test_target)};
}

std::string text_of(Task task) {
  switch (task) {
    case Task::language_modelling:
      return "language modelling";
    case Task::translation:
      return "translation";
    case Task::classification:
      break;
  }
  return "classification";
}

struct ExampleReader::State {
  DataConfig config;
  Task task;
  DataFiles files;
  std::size_t file = 0;                // the next one to open
  std::unique_ptr<Rows> rows, target;  // of the file being read
  bool table = false;
  std::int64_t examples = 0;  // of the file being read
  std::int64_t bytes_before = 0, bytes_total = 0;

  void open();
  void close();
  bool next_in_file(TextExample& example);
  bool next_of_lines(TextExample& example);
  [[noreturn]] void refuse_lengths();
};

void ExampleReader::State::open() {
  const fs::path& path = files.source[file];
  const std::string kind = format_of(config, path);
  table = kind == "tsv" || kind == "csv" || kind == "jsonl";
  examples = 0;
  if (kind == "label-lines" && task != Task::classification)
    throw Error("{}: data.format = \"label-lines\" is for classification; this task is {}", path.string(),
                text_of(task));
  if (table) {
    if (!files.target.empty())
      throw Error("{}: a {} file holds both sides of the translation; name no target file beside it", path.string(),
                  kind);
    std::vector<std::string> columns = {config.text_column};
    if (task == Task::translation) columns.push_back(config.target_column);
    if (task == Task::classification) columns.push_back(config.label_column);
    rows = open_table(config, path, kind, columns);
  } else {
    if (task == Task::translation && files.target.empty())
      throw Error(
          "{}: a file of lines holds one side of the translation; name the other in data.train_target (or "
          "validation_target, test_target), or give a TSV, CSV or JSON-lines file with both",
          path.string());
    rows = open_lines(config, path);
  }
  if (!files.target.empty()) target = open_lines(config, files.target[file]);
  ++file;
}

void ExampleReader::State::close() {
  if (examples == 0) throw Error("{}: the file is empty: {} examples were expected", rows->name(), text_of(task));
  bytes_before += rows->bytes() + (target ? target->bytes() : 0);
  rows.reset();
  target.reset();
}

void ExampleReader::State::refuse_lengths() {
  const auto count_all = [](Rows& side) {
    while (side.next()) {
    }
    return side.line();
  };
  const std::int64_t sources = count_all(*rows), targets = count_all(*target);
  throw Error(
      "parallel files: {} has {} lines, {} has {}; line i of one must be the translation of line i of the other",
      rows->name(), sources, target->name(), targets);
}

bool ExampleReader::State::next_of_lines(TextExample& example) {
  for (;;) {
    const bool more = rows->next();
    if (target && target->next() != more) refuse_lengths();
    if (!more) return false;
    const std::string_view line = rows->column(0);
    if (task != Task::classification) {
      example.source = line;
      if (target) example.target = target->column(0);
      example.line_ends = rows->line_ends();
      return true;
    }
    constexpr std::string_view blank = " \t";
    const std::size_t start = line.find_first_not_of(blank);
    if (start == std::string_view::npos) continue;
    const std::size_t end = std::min(line.find_first_of(blank, start), line.size());
    const std::size_t text = std::min(line.find_first_not_of(blank, end), line.size());
    example.label = line.substr(start, end - start);
    example.source = line.substr(text);
    return true;
  }
}

bool ExampleReader::State::next_in_file(TextExample& example) {
  if (!table) return next_of_lines(example);
  if (!rows->next()) return false;
  example.source = rows->column(0);
  example.line_ends = true;
  if (task == Task::translation) example.target = rows->column(1);
  if (task == Task::classification) example.label = rows->column(1);
  return true;
}

ExampleReader::ExampleReader(const DataConfig& config, Task task, DataFiles files) : state_(std::make_unique<State>()) {
  if (!files.target.empty() && task != Task::translation)
    throw Error("data: target files are for translation; this task is {}", text_of(task));
  if (!files.target.empty() && files.target.size() != files.source.size())
    throw Error("data: {} source files and {} target files are named; each needs the other", files.source.size(),
                files.target.size());
  if (files.source.empty()) throw Error("data: no file is named; set data.train (or validation, test)");
  for (const auto* side : {&files.source, &files.target})
    for (const fs::path& path : *side) state_->bytes_total += text_bytes(path);
  state_->config = config;
  state_->task = task;
  state_->files = std::move(files);
}

ExampleReader::ExampleReader(ExampleReader&&) noexcept = default;
ExampleReader& ExampleReader::operator=(ExampleReader&&) noexcept = default;
ExampleReader::~ExampleReader() = default;

bool ExampleReader::next(TextExample& example) {
  State& state = *state_;
  for (;;) {
    if (!state.rows) {
      if (state.file == state.files.source.size()) return false;
      state.open();
    }
    if (state.next_in_file(example)) break;
    state.close();
  }
  ++state.examples;
  if (state.config.lowercase) {
    example.source = unicode::lowercase(example.source);
    example.target = unicode::lowercase(example.target);
  }
  return true;
}

std::string ExampleReader::place() const {
  if (!state_->rows) return "the end of the data";
  return format("{}, line {}", state_->rows->name(), state_->rows->line());
}

std::int64_t ExampleReader::bytes_read() const {
  return state_->bytes_before + (state_->rows ? state_->rows->bytes() : 0) +
         (state_->target ? state_->target->bytes() : 0);
}
std::int64_t ExampleReader::bytes_total() const { return std::max(state_->bytes_total, bytes_read()); }

NextText texts_of(ExampleReader& reader, Task task, Side side) {
  return [&reader, task, side, example = TextExample(), target_waits = false](std::string_view& text) mutable {
    if (target_waits) {
      text = example.target;
      target_waits = false;
      return true;
    }
    if (!reader.next(example)) return false;
    if (task == Task::language_modelling && example.line_ends) example.source += '\n';
    text = side == Side::target ? example.target : example.source;
    target_waits = side == Side::both && task == Task::translation;
    return true;
  };
}

std::optional<std::int32_t> Labels::find(std::string_view name) const {
  const auto found = std::find(names_.begin(), names_.end(), name);
  if (found == names_.end()) return {};
  return static_cast<std::int32_t>(found - names_.begin());
}

std::int32_t Labels::at(std::string_view name, const std::string& place) const {
  if (const auto found = find(name)) return *found;
  constexpr std::size_t most_shown = 20;
  std::string known;
  for (std::size_t i = 0; i < std::min(names_.size(), most_shown); ++i) known += (i == 0 ? "" : ", ") + names_[i];
  if (names_.size() > most_shown) known += format(", … ({} in all)", names_.size());
  throw Error("{}: the label \"{}\" was never seen in training; known are {}", place, name, known);
}

Labels collect_labels(ExampleReader& reader) {
  std::set<std::string> seen;
  for (TextExample example; reader.next(example);) seen.insert(example.label);
  std::vector<std::string> names(seen.begin(), seen.end());
  const auto number = [](const std::string& name) -> std::optional<double> {
    double value = 0;
    const auto [end, failed] = std::from_chars(name.data(), name.data() + name.size(), value);
    if (failed != std::errc() || end != name.data() + name.size() || !std::isfinite(value)) return {};
    return value;
  };
  if (std::all_of(names.begin(), names.end(), [&](const std::string& name) { return number(name).has_value(); }))
    std::stable_sort(names.begin(), names.end(),
                     [&](const std::string& a, const std::string& b) { return *number(a) < *number(b); });
  return Labels(std::move(names));
}

std::vector<std::int32_t> source_input(Task task, std::vector<std::int32_t> ids) {
  if (task == Task::translation) ids.push_back(Vocabulary::end());
  if (task == Task::classification) ids.insert(ids.begin(), Vocabulary::begin());
  return ids;
}

std::vector<std::int32_t> TextEncoder::input(std::string_view text) const {
  std::vector<std::int32_t> ids = source->encode(lowercase ? unicode::lowercase(text) : std::string(text));
  if (task != Task::language_modelling) return source_input(task, std::move(ids));
  if (documents) ids.insert(ids.begin(), Vocabulary::begin());
  if (ids.empty()) ids.push_back(source->line_end());
  return ids;
}

}  // namespace heed
