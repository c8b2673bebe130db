#include <heed/error.h>

#include <algorithm>
#include <charconv>
#include <cstring>

#include "formats/gzip.h"
#include "formats/word_vectors_source.h"

namespace heed {

namespace fs = std::filesystem;

namespace {

constexpr std::int64_t widest = std::int64_t{1} << 20;
constexpr std::size_t longest_word = std::size_t{1} << 16, longest_line = std::size_t{1} << 26;

/// Bytes of a file as they are asked for.
class Bytes {
 public:
  explicit Bytes(const fs::path& path) : reader_(path) {}

  /// Makes at least `count` bytes available; false at the end of the file.
  bool has(std::size_t count) {
    while (buffer_.size() - at_ < count) {
      const std::string_view chunk = reader_.next();
      if (chunk.empty()) return false;
      buffer_.erase(0, at_);
      at_ = 0;
      buffer_ += chunk;
    }
    return true;
  }
  std::string_view rest() const { return std::string_view(buffer_).substr(at_); }
  void skip(std::size_t count) {
    at_ += count;
    offset_ += static_cast<std::int64_t>(count);
  }
  /// What stands before the next `end`, which is passed over; less than `most` bytes, or nothing when there is no such
  /// end (at the end of the file, the rest when `or_rest` is set).
  std::optional<std::string> until(char end, std::size_t most, bool or_rest = false) {
    std::size_t looked = 0;
    for (;;) {
      const std::size_t found = rest().find(end, looked);
      if (found != std::string_view::npos || rest().size() > most) {
        if (found == std::string_view::npos || found > most) return {};
        std::string text(rest().substr(0, found));
        skip(found + 1);
        return text;
      }
      looked = rest().size();
      if (has(looked + 1)) continue;
      if (!or_rest || looked == 0) return {};
      std::string text(rest());
      skip(looked);
      return text;
    }
  }
  std::int64_t offset() const { return offset_; }
  const std::string& name() const { return reader_.name(); }

 private:
  ByteReader reader_;
  std::string buffer_;
  std::size_t at_ = 0;
  std::int64_t offset_ = 0;
};

/// Vectors held in memory.
class Table final : public WordVectors::Source {
 public:
  bool find(std::string_view word, std::span<float> to) const override {
    const auto row = number(word);
    if (!row) return false;
    const auto begin = values.begin() + static_cast<std::ptrdiff_t>(*row) * static_cast<std::ptrdiff_t>(width);
    std::copy(begin, begin + static_cast<std::ptrdiff_t>(width), to.begin());
    return true;
  }
  std::vector<float> values;
};

std::vector<std::string_view> fields_of(std::string_view line) {
  constexpr std::string_view blank = " \t\r";
  std::vector<std::string_view> fields;
  for (std::size_t at = line.find_first_not_of(blank); at != std::string_view::npos;) {
    const std::size_t end = std::min(line.find_first_of(blank, at), line.size());
    fields.push_back(line.substr(at, end - at));
    at = line.find_first_not_of(blank, end);
  }
  return fields;
}

template <class T>
std::optional<T> number_in(std::string_view text) {
  if (text.starts_with('+')) text.remove_prefix(1);
  T value{};
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failed == std::errc::result_out_of_range && end == text.data() + text.size() && std::is_floating_point_v<T>)
    return T{0};  // a number too small for a double (one too large would not be a vector's)
  if (failed != std::errc() || end != text.data() + text.size()) return {};
  return value;
}

struct Header {
  std::int64_t words = 0, width = 0;
};

/// word2vec's first line, "words width". A line of GloVe has a word first, and is longer unless vectors have width 1.
std::optional<Header> header_of(std::string_view line) {
  const auto fields = fields_of(line);
  if (fields.size() != 2) return {};
  const auto words = number_in<std::int64_t>(fields[0]), width = number_in<std::int64_t>(fields[1]);
  if (!words || !width) return {};
  return Header{*words, *width};
}

/// Adds the word and the vector of a line. The vector is its last `width` fields: a word may have spaces in it.
void add_line(Table& table, std::string_view line, std::int64_t number, const std::string& name,
              const WantedWord& wanted) {
  const auto fields = fields_of(line);
  const auto width = static_cast<std::size_t>(table.width);
  // fastText and GloVe write white space that is not ASCII's as a word, too; then the line starts with its separator.
  const std::size_t words = fields.size() > width ? fields.size() - width : 0;
  if (words == 0 && !(fields.size() == width && (line.starts_with(' ') || line.starts_with('\t'))))
    throw Error("{}, line {}: a word and {} numbers were expected, {} fields are there", name, number, width,
                fields.size());
  std::string word;
  if (words > 0) word = std::string(fields[0].data(), fields[words - 1].data() + fields[words - 1].size());
  if (wanted && !wanted(word)) return;
  if (!table.add(word)) return;
  for (std::size_t i = 0; i < width; ++i) {
    const std::string_view field = fields[words + i];
    const auto value = number_in<double>(field);
    if (!value)
      throw Error("{}, line {}: \"{}\" is not a number; is the vector of another width?", name, number, field);
    table.values.push_back(static_cast<float>(*value));
  }
}

std::shared_ptr<const Table> load_text(const fs::path& path, std::optional<Header> header, const WantedWord& wanted) {
  Bytes bytes(path);
  auto table = std::make_shared<Table>();
  std::int64_t line = 0, words = 0;
  if (header) {
    table->width = header->width;
    bytes.until('\n', longest_line);
    ++line;
  }
  while (auto text = bytes.until('\n', longest_line, true)) {
    ++line;
    if (fields_of(*text).empty()) continue;
    if (table->width == 0) table->width = static_cast<std::int64_t>(fields_of(*text).size()) - 1;
    add_line(*table, *text, line, bytes.name(), wanted);
    ++words;
  }
  if (bytes.has(1))
    throw Error("{}, line {}: is longer than {} bytes; not a file of word vectors", bytes.name(), line + 1,
                longest_line);
  if (words == 0) throw Error("{}: holds no vectors", bytes.name());
  return table;
}

std::shared_ptr<const Table> load_binary(const fs::path& path, const Header& header, const WantedWord& wanted) {
  Bytes bytes(path);
  bytes.until('\n', longest_line);
  auto table = std::make_shared<Table>();
  table->width = header.width;
  const std::size_t vector_bytes = static_cast<std::size_t>(header.width) * sizeof(float);
  std::vector<float> row(static_cast<std::size_t>(header.width));
  for (std::int64_t i = 0; i < header.words; ++i) {
    auto word = bytes.until(' ', longest_word);
    if (!word || !bytes.has(vector_bytes))
      throw Error("{}: truncated or of another width than {}: word {} of {} ends at byte {}", bytes.name(),
                  header.width, i + 1, header.words, bytes.offset() + static_cast<std::int64_t>(bytes.rest().size()));
    word->erase(0, word->find_first_not_of('\n') == std::string::npos ? word->size() : word->find_first_not_of('\n'));
    std::memcpy(row.data(), bytes.rest().data(), vector_bytes);
    bytes.skip(vector_bytes);
    if ((wanted && !wanted(*word)) || !table->add(std::move(*word))) continue;
    table->values.insert(table->values.end(), row.begin(), row.end());
  }
  if (bytes.has(1) && bytes.rest().front() == '\n') bytes.skip(1);
  if (bytes.has(1))
    throw Error("{}: {} words of width {} end at byte {}, and more follows; is the width another?", bytes.name(),
                header.words, header.width, bytes.offset());
  return table;
}

/// Whether what follows the header is a line of a word and numbers.
bool is_text(const fs::path& path, const Header& header) {
  Bytes bytes(path);
  bytes.until('\n', longest_line);
  const auto line = bytes.until('\n', longest_line, true);
  if (!line) return true;
  const auto fields = fields_of(*line);
  const auto width = static_cast<std::size_t>(header.width);
  // A line of text that is too short is still text, and refused as such.
  const std::size_t numbers = std::min(width, fields.empty() ? 0 : fields.size() - 1);
  return numbers > 0 && std::all_of(fields.end() - static_cast<std::ptrdiff_t>(numbers), fields.end(),
                                    [](std::string_view field) { return number_in<double>(field).has_value(); });
}

std::shared_ptr<const WordVectors::Source> load(const fs::path& path, const WantedWord& wanted) {
  Bytes bytes(path);
  if (!bytes.has(1)) throw Error("{}: is empty; word vectors were expected", bytes.name());
  bytes.has(fasttext_start);
  if (is_fasttext(bytes.rest())) return load_fasttext(path);

  const auto first = bytes.until('\n', longest_line, true);
  const auto header = first ? header_of(*first) : std::nullopt;
  if (!header) {
    const auto fields = first ? fields_of(*first) : std::vector<std::string_view>{};
    if (fields.size() < 2 || !number_in<double>(fields.back()))
      throw Error(
          "{}: not word vectors: the first line is neither \"words width\" nor a word and its numbers, and it is "
          "no fastText model",
          bytes.name());
    return load_text(path, {}, wanted);
  }
  if (header->words < 1 || header->width < 1 || header->width > widest)
    throw Error("{}, line 1: {} words of width {}; at least 1 word and a width of 1 to {} were expected", bytes.name(),
                header->words, header->width, widest);
  if (is_text(path, *header)) return load_text(path, header, wanted);
  return load_binary(path, *header, wanted);
}

}  // namespace

std::int64_t WordVectors::width() const { return source_->width; }
const std::vector<std::string>& WordVectors::words() const { return source_->words; }

bool WordVectors::find(std::string_view word, std::span<float> to) const {
  if (static_cast<std::int64_t>(to.size()) != width())
    throw Error("word vectors: they are {} wide, and {} are asked for", width(), to.size());
  return source_->find(word, to);
}

WordVectors load_word_vectors(const fs::path& path, const WantedWord& wanted) {
  return WordVectors(load(path, wanted));
}

}  // namespace heed
