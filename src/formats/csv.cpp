#include "formats/csv.h"

#include <algorithm>

namespace heed {

namespace {

constexpr char quote = '"';

}  // namespace

CsvReader::CsvReader(const std::filesystem::path& path, CsvOptions options, FilePlace start)
    : CsvReader(LineReader(path, options.lines), options) {
  if (start == FilePlace{}) return;
  lines_ = LineReader(path, options.lines, start);
  first_waits_ = false;
}

CsvReader::CsvReader(LineReader lines, CsvOptions options) : lines_(std::move(lines)), options_(options) {
  if (!read_record()) return;
  columns_ = fields_.size();
  if (options_.header)
    header_ = fields_;
  else
    first_waits_ = true;
}

std::size_t CsvReader::column(std::string_view name) const {
  const auto found = std::find(header_.begin(), header_.end(), name);
  if (found != header_.end()) return static_cast<std::size_t>(found - header_.begin());
  std::string names;
  for (const std::string& each : header_) names.append(names.empty() ? "" : ", ").append(each);
  throw Error("{}: no column is named \"{}\"; the header has: {}", this->name(), name,
              header_.empty() ? "nothing" : names);
}

bool CsvReader::next() {
  if (std::exchange(first_waits_, false)) return true;
  if (!read_record()) return false;
  if (fields_.size() != columns_)
    throw lines_.error_at(
        line_, "{} fields, but {} {}; {}", fields_.size(),
        options_.header ? "the header names" : "the first record has", columns_,
        options_.quotes ? "put quotes around a field that holds a separator" : "a field cannot hold a tab");
  return true;
}

bool CsvReader::read_record() {
  std::string_view text;
  do {
    record_byte_ = lines_.place().byte;
    if (!lines_.next(text)) return false;
  } while (text.empty() && columns_ != 1);
  line_ = lines_.line();
  fields_.clear();
  for (;;) {
    std::string& field = fields_.emplace_back();
    if (options_.quotes && text.starts_with(quote)) {
      read_quoted(text, field);
      if (!text.empty() && text.front() != options_.separator)
        throw lines_.error("text follows the closing quote of field {}; double the quotes inside a quoted field",
                           fields_.size());
    } else {
      const std::size_t end = std::min(text.find(options_.separator), text.size());
      field = text.substr(0, end);
      text.remove_prefix(end);
    }
    if (text.empty()) return true;
    text.remove_prefix(1);
  }
}

/// The field after an opening quote, over as many lines as it takes; `text` is left after the closing quote.
void CsvReader::read_quoted(std::string_view& text, std::string& field) {
  const std::int64_t opened = lines_.line();
  text.remove_prefix(1);
  for (;;) {
    const std::size_t end = text.find(quote);
    field.append(text.substr(0, end));
    if (end == std::string_view::npos) {
      field.append(lines_.line_end());
      if (lines_.place().byte - record_byte_ > options_.lines.longest)
        throw lines_.error_at(opened, "the quote that opens here is not closed within {} bytes",
                              options_.lines.longest);
      if (!lines_.next(text)) throw lines_.error_at(opened, "the quote that opens here is never closed");
      continue;
    }
    text.remove_prefix(end + 1);
    if (!text.starts_with(quote)) return;
    field.push_back(quote);
    text.remove_prefix(1);
  }
}

}  // namespace heed
