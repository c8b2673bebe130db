#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "formats/lines.h"

namespace heed {

struct CsvOptions {
  char separator = ',';
  bool quotes = true;  ///< "…" around a field may hold separators, line ends and doubled quotes (RFC 4180)
  bool header = true;  ///< the first record names the columns
  LineOptions lines;   ///< `longest` bounds a whole record
  /// Tab-separated: fields are taken as they are, without quoting.
  static CsvOptions tsv() {
    CsvOptions options;
    options.separator = '\t';
    options.quotes = false;
    return options;
  }
};

/// Records of a CSV or TSV file (plain or gzip), in constant memory. All have as many fields as the first one; lines
/// without anything are passed over, unless records have one field. A quote within an unquoted field is text.
///
/// Errors name file and line: a quote that is never closed, text after a closing quote, another count of fields.
class CsvReader {
 public:
  /// Goes on at `start`, a place() of an earlier reader; the header is read anyway.
  explicit CsvReader(const std::filesystem::path& path, CsvOptions options = {}, FilePlace start = {});
  explicit CsvReader(LineReader lines, CsvOptions options = {});

  /// Names of the columns; empty without a header.
  const std::vector<std::string>& header() const { return header_; }
  /// Index of a column. Throws Error with the names there are.
  std::size_t column(std::string_view name) const;

  /// The next record; false at the end of the file.
  bool next();
  /// Fields of the record, without quotes, valid until the next call.
  std::size_t size() const { return fields_.size(); }
  std::string_view operator[](std::size_t column) const { return fields_[column]; }
  /// The line on which the record starts.
  std::int64_t line() const { return line_; }
  /// Where the next record starts.
  FilePlace place() const { return lines_.place(); }
  const std::string& name() const { return lines_.name(); }

 private:
  bool read_record();
  void read_quoted(std::string_view& text, std::string& field);

  LineReader lines_;
  CsvOptions options_;
  std::vector<std::string> header_;
  std::size_t columns_ = 0;   // 0: no record was read yet
  bool first_waits_ = false;  // without a header the first record was read to count its fields, and is given next
  std::vector<std::string> fields_;
  // Where the record starts.
  std::int64_t line_ = 0;
  std::int64_t record_byte_ = 0;
};

}  // namespace heed
