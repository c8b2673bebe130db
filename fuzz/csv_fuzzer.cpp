// CSV and TSV: every record has as many fields as the first, and fields written out again with quotes read the same.
#include <vector>

#include "formats/csv.h"
#include "input.h"

using namespace heed;

namespace {

using Records = std::vector<std::vector<std::string>>;

Records records_of(const std::string& text, CsvOptions options) {
  CsvReader reader(LineReader(ByteReader::of_bytes(text, "x"), options.lines), options);
  Records records;
  while (reader.next()) {
    auto& record = records.emplace_back();
    for (std::size_t i = 0; i < reader.size(); ++i) record.emplace_back(reader[i]);
    must(record.size() == records.front().size());
  }
  return records;
}

std::string quoted(const Records& records) {
  std::string text;
  for (const auto& record : records) {
    for (std::size_t i = 0; i < record.size(); ++i) {
      if (i > 0) text += ',';
      text += '"';
      for (const char byte : record[i]) text.append(byte == '"' ? 2 : 1, byte);
      text += '"';
    }
    text += '\n';
  }
  return text;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text = input_of(data, size);
  CsvOptions options;
  allow_errors([&] { records_of(text, options); });
  CsvOptions tsv = CsvOptions::tsv();
  tsv.lines.bad_bytes = BadBytes::replace;
  allow_errors([&] { records_of(text, tsv); });
  options.header = false;
  allow_errors([&] {
    const Records records = records_of(text, options);
    must(records_of(quoted(records), options) == records);
  });
  return 0;
}
