#pragma once
#include <heed/data_config.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "formats/squad.h"
#include "text/vocabulary.h"

namespace heed {

enum class Task { language_modelling, translation, classification, summarisation, question_answering };

/// Translation and summarisation: the answer is a text made from a text.
constexpr bool makes_text_from_text(Task task) { return task == Task::translation || task == Task::summarisation; }

/// The files of one part of the data. `target` is empty unless the two sides are parallel files: texts and their
/// translations or summaries, or texts and their labels.
struct DataFiles {
  std::vector<std::filesystem::path> source, target;
};

enum class DataPart { train, validation, test };

/// The files that the recipe names for a part, relative to `folder`; none are an empty list.
DataFiles data_files(const DataConfig& config, DataPart part, const std::filesystem::path& folder);

/// One example as text. Without a target or label these are empty.
struct TextExample {
  std::string source, target, label;
  std::vector<std::string> references;  ///< summarisation: all right answers, when data.reference_column is set
  std::string value;                    ///< of the column that the reader was asked for beside
  std::string id;                       ///< question answering: source is the question, target the passage
  std::vector<PassageAnswer> answers;   ///< question answering: none where the passage does not tell
  std::int32_t group = -1;              ///< question answering: number of the article
  bool line_ends = true;                ///< language modelling: false for a last line without a line end
};

/// The examples of files one after the other, in constant memory: UTF-8 is checked (data.bad_bytes), text lower-cased
/// if the recipe says so.
///
/// By data.format, or if that is auto by the files' endings (.tsv, .csv, .jsonl and .json, before .gz too), examples
/// are
/// - lines: language modelling takes each line; other tasks pair it with the same line of the target file;
/// - label-lines, which is what lines are to classification without a target file: a label, white space, the text;
/// blank lines are passed over;
/// - rows of tsv, csv, jsonl: the columns that the recipe names;
/// - question answering: the questions of SQuAD files, held in memory a file at a time.
/// Errors name the file and line: a missing file, one without an example, parallel files of different lengths (both
/// counts), a column that is not there, and what the readers of formats/ refuse.
class ExampleReader {
 public:
  /// `column`: of tables, one more column to read (TextExample::value); empty: none.
  ExampleReader(const DataConfig& config, Task task, DataFiles files, std::string column = {});
  ExampleReader(ExampleReader&&) noexcept;
  ExampleReader& operator=(ExampleReader&&) noexcept;
  ~ExampleReader();

  /// False after the last example.
  bool next(TextExample& example);
  /// "FILE, line N": where the last example starts.
  std::string place() const;
  /// Bytes of text read so far, and about how many there are (exact for plain files and most gzip files).
  std::int64_t bytes_read() const;
  std::int64_t bytes_total() const;
  const DataConfig& config() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

enum class Side { source, target, both };

/// The texts of one or both sides, for train_vocabulary. `reader` must outlive it. In language modelling line ends are
/// part of the text, so that characters get one. In question answering passages are given once, words apart.
NextText texts_of(ExampleReader& reader, Task task, Side side);

/// The names of classes; a class is its index.
class Labels {
 public:
  Labels() = default;
  explicit Labels(std::vector<std::string> names) : names_(std::move(names)) {}
  const std::vector<std::string>& names() const { return names_; }
  std::optional<std::int32_t> find(std::string_view name) const;
  /// The class of a label read at `place`. Throws Error that names both and the labels there are.
  std::int32_t at(std::string_view name, const std::string& place) const;

 private:
  std::vector<std::string> names_;
};

/// Every label that the rest of `reader` has: in the order of their numbers if all are numbers, else of their bytes.
Labels collect_labels(ExampleReader& reader);

/// How texts become what a model of a task reads: the same in training and for a single text at run time.
struct TextEncoder {
  Task task = Task::language_modelling;
  std::shared_ptr<const Vocabulary> source;
  std::shared_ptr<const Vocabulary> target;  ///< translation; with a shared vocabulary the same object
  Labels labels;                             ///< classification
  bool documents = false;                    ///< language modelling: lines are documents, not a stream
  bool lowercase = false;
  bool words_apart = false;   ///< see with_words_apart
  std::int64_t cut_to = 0;    ///< inputs are cut to so many tokens (data.too_long = "cut"); 0: never
  bool unanswerable = false;  ///< question answering: some questions of the training had no answer

  /// Ids of a raw text as the model reads them, lower-cased and with words apart first if so set, cut_to kept: see
  /// source_input, and for language modelling a prompt: after begin if lines are documents; in a stream as it is, or
  /// the end of a line if it is empty.
  std::vector<std::int32_t> input(std::string_view text) const;
};

/// What stands around the ids of a source: translation, end behind; classification, begin before (what a model that
/// pools the first token looks at, and so that no text is empty); question answering, begin before the question.
std::vector<std::int32_t> source_input(Task task, std::vector<std::int32_t> ids);

/// In words: "language modelling", "translation", "classification", "summarisation", "question answering".
std::string text_of(Task task);

}  // namespace heed
