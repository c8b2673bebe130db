#include "text/examples.h"

#include <heed/error.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>
#include <set>

#include "text/rows.h"
#include "text/unicode.h"
#include "text/word_spans.h"

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
    case Task::summarisation:
      return "summarisation";
    case Task::question_answering:
      return "question answering";
    case Task::classification:
      break;
  }
  return "classification";
}

namespace {

std::vector<std::string> lines_of(std::string_view text) {
  std::vector<std::string> lines;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    if (end > at) lines.emplace_back(text.substr(at, end - at));
    at = end + 1;
  }
  return lines;
}

}  // namespace

struct ExampleReader::State {
  DataConfig config;
  Task task;
  DataFiles files;
  std::size_t file = 0;                // the next one to open
  std::unique_ptr<Rows> rows, target;  // of the file being read
  bool table = false;
  std::int64_t examples = 0;  // of the file being read
  std::string column;
  std::map<std::string, std::string> label_names;
  std::optional<SquadQuestions> questions;  // of the file being read
  std::int64_t articles_before = 0;
  std::int64_t bytes_before = 0, bytes_total = 0;

  void open();
  void close();
  bool next_in_file(TextExample& example);
  bool next_of_lines(TextExample& example);
  bool next_question(TextExample& example);
  void read_label_names();
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
  if (task == Task::question_answering) {
    if (config.format != "auto" && config.format != "squad")
      throw Error("{}: data.format = \"{}\", and question answering reads \"squad\"", path.string(), kind);
    questions = read_squad(path, config.bad_answers == "drop" ? BadAnswers::drop : BadAnswers::refuse);
    ++file;
    return;
  }
  if (kind == "squad") {
    if (task != Task::language_modelling)
      throw Error(
          "{}: data.format = \"squad\" is for question answering, and language modelling of its questions; this "
          "task is {}",
          path.string(), text_of(task));
    questions = read_squad(path, BadAnswers::drop);
    ++file;
    return;
  }
  if (!column.empty() && !table)
    throw Error("{}: the column \"{}\" was asked for, and a file of lines has none; give a tsv, csv or jsonl file",
                path.string(), column);
  if (table) {
    if (!files.target.empty())
      throw Error("{}: a {} file holds both {}; name no target file beside it", path.string(), kind,
                  task == Task::classification ? "texts and labels" : "sides of the " + text_of(task));
    std::vector<std::string> columns = {config.text_column};
    if (makes_text_from_text(task)) columns.push_back(config.target_column);
    if (task == Task::classification) columns.push_back(config.label_column);
    if (!column.empty()) columns.push_back(column);
    if (task == Task::summarisation && !config.reference_column.empty()) columns.push_back(config.reference_column);
    rows = open_table(config, path, kind, columns);
  } else {
    if (makes_text_from_text(task) && files.target.empty())
      throw Error(
          "{}: a file of lines holds one side of the {}; name the other in data.train_target (or "
          "validation_target, test_target), or give a TSV, CSV or JSON-lines file with both",
          path.string(), text_of(task));
    rows = open_lines(config, path);
  }
  if (!files.target.empty()) target = open_lines(config, files.target[file]);
  ++file;
}

void ExampleReader::State::close() {
  if (questions) {
    articles_before += questions->articles;
    bytes_before += text_bytes(files.source[file - 1]);
    questions.reset();
    return;
  }
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
  throw Error("parallel files: {} has {} lines, {} has {}; line i of one must be the {} of line i of the other",
              rows->name(), sources, target->name(), targets,
              task == Task::classification  ? "label"
              : task == Task::summarisation ? "summary"
                                            : "translation");
}

bool ExampleReader::State::next_of_lines(TextExample& example) {
  for (;;) {
    const bool more = rows->next();
    if (target && target->next() != more) refuse_lengths();
    if (!more) return false;
    const std::string_view line = rows->column(0);
    if (task == Task::classification && target) {
      example.source = line;
      const std::string_view label = target->column(0);
      example.label = label.substr(0, label.find_last_not_of(" \t") + 1);
      return true;
    }
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
  if (questions) return next_question(example);
  if (!table) return next_of_lines(example);
  if (!rows->next()) return false;
  std::size_t column_number = 0;
  example.source = rows->column(column_number++);
  example.line_ends = true;
  if (makes_text_from_text(task)) example.target = rows->column(column_number++);
  if (task == Task::classification) example.label = rows->column(column_number++);
  if (!column.empty()) example.value = rows->column(column_number++);
  if (task == Task::summarisation && !config.reference_column.empty()) {
    example.references = lines_of(rows->column(column_number++));
    if (config.reference_column != config.target_column)
      example.references.insert(example.references.begin(), example.target);
  }
  return true;
}

bool ExampleReader::State::next_question(TextExample& example) {
  if (examples == static_cast<std::int64_t>(questions->questions.size())) return false;
  PassageQuestion& question = questions->questions[static_cast<std::size_t>(examples)];
  example.id = question.id;
  example.source = std::move(question.question);
  if (task == Task::language_modelling) return example.line_ends = true;
  example.target = *question.passage;
  example.answers = std::move(question.answers);
  example.group = static_cast<std::int32_t>(articles_before + question.article);
  return true;
}

void ExampleReader::State::read_label_names() {
  if (config.label_names.empty() || task != Task::classification) return;
  LineReader reader(config.label_names, line_options(config));
  for (std::string_view line; reader.next(line);) {
    if (line.find_first_not_of(" \t") == std::string_view::npos) continue;
    const std::size_t tab = line.find('\t');
    if (tab == std::string_view::npos || tab == 0 || tab + 1 == line.size())
      throw reader.error("a label, a tab and the label's name were expected");
    label_names[std::string(line.substr(0, tab))] = line.substr(tab + 1);
  }
}

ExampleReader::ExampleReader(const DataConfig& config, Task task, DataFiles files, std::string column)
    : state_(std::make_unique<State>()) {
  if (!files.target.empty() && !makes_text_from_text(task) && task != Task::classification)
    throw Error("data: target files are for translation, summarisation and classification; this task is {}",
                text_of(task));
  if (!files.target.empty() && files.target.size() != files.source.size())
    throw Error("data: {} source files and {} target files are named; each needs the other", files.source.size(),
                files.target.size());
  if (files.source.empty()) throw Error("data: no file is named; set data.train (or validation, test)");
  for (const auto* side : {&files.source, &files.target})
    for (const fs::path& path : *side) state_->bytes_total += text_bytes(path);
  state_->config = config;
  state_->task = task;
  state_->files = std::move(files);
  state_->column = std::move(column);
  state_->read_label_names();
}

ExampleReader::ExampleReader(ExampleReader&&) noexcept = default;
ExampleReader& ExampleReader::operator=(ExampleReader&&) noexcept = default;
ExampleReader::~ExampleReader() = default;

bool ExampleReader::next(TextExample& example) {
  State& state = *state_;
  for (;;) {
    if (!state.rows && !state.questions) {
      if (state.file == state.files.source.size()) return false;
      state.open();
    }
    if (state.next_in_file(example)) break;
    state.close();
  }
  ++state.examples;
  if (const auto name = state.label_names.find(example.label); name != state.label_names.end()) {
    example.label = name->second;
  } else if (!state.label_names.empty()) {
    throw Error("{}: the label \"{}\" has no name in {}", place(), example.label, state.config.label_names);
  }
  // Of questions and passages the places of answers are kept: see passage_tokens.
  if (state.task == Task::question_answering) return true;
  if (state.config.lowercase) {
    example.source = unicode::lowercase(example.source);
    example.target = unicode::lowercase(example.target);
  }
  if (state.config.words == "apart" && (state.task == Task::classification || state.task == Task::language_modelling))
    example.source = with_words_apart(example.source);
  return true;
}

std::string ExampleReader::place() const {
  if (state_->questions)
    return format("{}, question {}", state_->files.source[state_->file - 1].string(), state_->examples);
  if (!state_->rows) return "the end of the data";
  return format("{}, line {}", state_->rows->name(), state_->rows->line());
}

std::int64_t ExampleReader::bytes_read() const {
  return state_->bytes_before + (state_->rows ? state_->rows->bytes() : 0) +
         (state_->target ? state_->target->bytes() : 0);
}
std::int64_t ExampleReader::bytes_total() const { return std::max(state_->bytes_total, bytes_read()); }

const DataConfig& ExampleReader::config() const { return state_->config; }

NextText texts_of(ExampleReader& reader, Task task, Side side) {
  if (task == Task::question_answering)
    return [&reader, example = TextExample(), passage = std::string(), apart = std::string(),
            passage_waits = false](std::string_view& text) mutable {
      if (!passage_waits && !reader.next(example)) return false;
      apart = with_words_apart(passage_waits ? passage : example.source);
      if (reader.config().lowercase) apart = unicode::lowercase(apart);
      text = apart;
      passage_waits = !passage_waits && example.target != passage;
      if (passage_waits) passage = example.target;
      return true;
    };
  return [&reader, task, side, example = TextExample(), target_waits = false](std::string_view& text) mutable {
    if (target_waits) {
      text = example.target;
      target_waits = false;
      return true;
    }
    if (!reader.next(example)) return false;
    if (task == Task::language_modelling && example.line_ends) example.source += '\n';
    text = side == Side::target ? example.target : example.source;
    target_waits = side == Side::both && makes_text_from_text(task);
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
  if (makes_text_from_text(task)) ids.push_back(Vocabulary::end());
  if (task == Task::classification || task == Task::question_answering) ids.insert(ids.begin(), Vocabulary::begin());
  return ids;
}

std::vector<std::int32_t> TextEncoder::input(std::string_view text) const {
  std::string prepared = lowercase ? unicode::lowercase(text) : std::string(text);
  if (words_apart) prepared = with_words_apart(prepared);
  std::vector<std::int32_t> ids = source->encode(prepared);
  if (task != Task::language_modelling) {
    if (cut_to > 0 && static_cast<std::int64_t>(ids.size()) >= cut_to) ids.resize(static_cast<std::size_t>(cut_to - 1));
    return source_input(task, std::move(ids));
  }
  if (documents) ids.insert(ids.begin(), Vocabulary::begin());
  if (ids.empty()) ids.push_back(source->line_end());
  return ids;
}

}  // namespace heed
