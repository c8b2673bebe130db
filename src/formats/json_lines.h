#pragma once
#include <string>
#include <vector>

#include "formats/lines.h"

namespace heed {

/// Chosen fields of a file with one JSON object a line (plain or gzip), in constant memory. Empty lines are passed
/// over.
///
/// A field is a string, a number or a boolean and is given as text; or a list of strings, given as a line each. A key
/// "a.b" that the object lacks means key "b" of the object at "a". Errors name file, line and key.
class JsonLinesReader {
 public:
  JsonLinesReader(const std::filesystem::path& path, std::vector<std::string> keys, LineOptions options = {},
                  FilePlace start = {});
  JsonLinesReader(LineReader lines, std::vector<std::string> keys);

  /// The next object; false at the end of the file.
  bool next();
  /// The field of each key, in the order of the keys, valid until the next call.
  const std::vector<std::string>& fields() const { return fields_; }
  const std::string& operator[](std::size_t key) const { return fields_[key]; }
  std::int64_t line() const { return lines_.line(); }
  /// Where the next line starts.
  FilePlace place() const { return lines_.place(); }
  const std::string& name() const { return lines_.name(); }

 private:
  LineReader lines_;
  std::vector<std::string> keys_;
  std::vector<std::string> fields_;
};

}  // namespace heed
