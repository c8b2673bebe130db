#include "text/rows.h"

#include <algorithm>
#include <charconv>
#include <fstream>

#include "formats/csv.h"
#include "formats/json_lines.h"

namespace heed {

namespace fs = std::filesystem;

namespace {

class LineRows final : public Rows {
 public:
  LineRows(const fs::path& path, LineOptions options) : lines_(path, options) {}
  bool next() override { return lines_.next(line_); }
  std::string_view column(std::size_t) const override { return line_; }
  std::int64_t line() const override { return lines_.line(); }
  std::int64_t bytes() const override { return lines_.place().byte; }
  const std::string& name() const override { return lines_.name(); }
  bool line_ends() const override { return !lines_.line_end().empty(); }

 private:
  LineReader lines_;
  std::string_view line_;
};

class CsvRows final : public Rows {
 public:
  CsvRows(const fs::path& path, const CsvOptions& options, const std::vector<std::string>& columns)
      : csv_(path, options) {
    for (const std::string& column : columns) columns_.push_back(index_of(column));
  }
  bool next() override {
    if (!csv_.next()) return false;
    for (const std::size_t column : columns_)
      if (column >= csv_.size())
        throw Error("{}, line {}: there is no column {}; the row has {}", name(), line(), column + 1, csv_.size());
    return true;
  }
  std::string_view column(std::size_t i) const override { return csv_[columns_[i]]; }
  std::int64_t line() const override { return csv_.line(); }
  std::int64_t bytes() const override { return csv_.place().byte; }
  const std::string& name() const override { return csv_.name(); }

 private:
  std::size_t index_of(const std::string& column) const {
    const std::vector<std::string>& header = csv_.header();
    if (std::find(header.begin(), header.end(), column) != header.end()) return csv_.column(column);
    std::size_t number = 0;
    const auto [end, failed] = std::from_chars(column.data(), column.data() + column.size(), number);
    if (failed == std::errc() && end == column.data() + column.size() && number > 0) return number - 1;
    if (header.empty())
      throw Error(
          "{}: a file without a header has no column \"{}\"; name columns by numbers from 1 (data.text_column, …)"
          ", or set data.header = true",
          csv_.name(), column);
    return csv_.column(column);  // throws, with the names there are
  }

  CsvReader csv_;
  std::vector<std::size_t> columns_;
};

class JsonRows final : public Rows {
 public:
  JsonRows(const fs::path& path, std::vector<std::string> keys, LineOptions options)
      : json_(path, std::move(keys), options) {}
  bool next() override { return json_.next(); }
  std::string_view column(std::size_t i) const override { return json_[i]; }
  std::int64_t line() const override { return json_.line(); }
  std::int64_t bytes() const override { return json_.place().byte; }
  const std::string& name() const override { return json_.name(); }

 private:
  JsonLinesReader json_;
};

}  // namespace

LineOptions line_options(const DataConfig& config) {
  return {.bad_bytes = config.bad_bytes == "replace" ? BadBytes::replace : BadBytes::refuse,
          .longest = config.max_line_bytes};
}

std::string format_of(const DataConfig& config, const fs::path& path) {
  if (config.format != "auto") return config.format;
  const fs::path ending = path.extension() == ".gz" ? path.stem().extension() : path.extension();
  if (ending == ".tsv") return "tsv";
  if (ending == ".csv") return "csv";
  if (ending == ".jsonl" || ending == ".json") return "jsonl";
  return "lines";
}

std::unique_ptr<Rows> open_lines(const DataConfig& config, const fs::path& path) {
  return std::make_unique<LineRows>(path, line_options(config));
}

std::unique_ptr<Rows> open_table(const DataConfig& config, const fs::path& path, const std::string& table_format,
                                 const std::vector<std::string>& columns) {
  if (table_format == "jsonl") return std::make_unique<JsonRows>(path, columns, line_options(config));
  CsvOptions options = table_format == "tsv" ? CsvOptions::tsv() : CsvOptions();
  options.header = config.header;
  options.lines = line_options(config);
  return std::make_unique<CsvRows>(path, options, columns);
}

std::int64_t text_bytes(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  unsigned char start[2] = {}, last[4] = {};
  file.read(reinterpret_cast<char*>(start), 2);
  file.clear();
  file.seekg(0, std::ios::end);
  const std::int64_t size = std::max<std::int64_t>(0, file.tellg());
  if (start[0] != 0x1f || start[1] != 0x8b || size < 18) return size;
  file.seekg(-4, std::ios::end);  // RFC 1952: the last four bytes are the length of the text modulo 2^32
  file.read(reinterpret_cast<char*>(last), 4);
  return last[0] | last[1] << 8 | last[2] << 16 | std::int64_t{last[3]} << 24;
}

}  // namespace heed
