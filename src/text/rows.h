#pragma once
#include <heed/data_config.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "formats/lines.h"

namespace heed {

/// Rows of a file of any format, as the columns that are wanted of them.
class Rows {
 public:
  virtual ~Rows() = default;
  /// The next row, its columns as `column(i)`; false at the end.
  virtual bool next() = 0;
  /// Wanted column i of the row, valid until the next call.
  virtual std::string_view column(std::size_t i) const = 0;
  /// Where the row starts: the line, from 1.
  virtual std::int64_t line() const = 0;
  /// Uncompressed bytes read so far.
  virtual std::int64_t bytes() const = 0;
  virtual const std::string& name() const = 0;
  /// False for a last line without a line end.
  virtual bool line_ends() const { return true; }
};

/// data.format, or when it is auto the format that the file's ending (before .gz) says: tsv, csv, jsonl, else lines.
std::string format_of(const DataConfig& config, const std::filesystem::path& path);

LineOptions line_options(const DataConfig& config);

/// Lines as rows of one column, whatever is wanted.
std::unique_ptr<Rows> open_lines(const DataConfig& config, const std::filesystem::path& path);
/// tsv, csv or jsonl. A column is named, or is a number from 1 (of tsv and csv). Throws Error for one that is not
/// there.
std::unique_ptr<Rows> open_table(const DataConfig& config, const std::filesystem::path& path,
                                 const std::string& table_format, const std::vector<std::string>& columns);

/// Uncompressed bytes of a file: exact for plain ones and for gzip of one member below 4 GB; 0 if it cannot be read.
std::int64_t text_bytes(const std::filesystem::path& path);

}  // namespace heed
