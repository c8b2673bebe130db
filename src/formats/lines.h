#pragma once
#include <heed/error.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>

#include "formats/gzip.h"

namespace heed {

/// What to do with bytes that are not UTF-8: refuse the file, or put U+FFFD for each ill-formed piece.
enum class BadBytes { refuse, replace };

struct LineOptions {
  BadBytes bad_bytes = BadBytes::refuse;
  std::int64_t longest = std::int64_t{1} << 20;  ///< bytes of the longest line that is taken, without its end
};

/// A place in a file at which reading can go on: uncompressed bytes before it, and line ends before it.
struct FilePlace {
  std::int64_t byte = 0;
  std::int64_t line = 0;
  bool operator==(const FilePlace&) const = default;
};

/// The lines of a plain or gzip text file, in constant memory. A line ends in \n or \r\n or with the file; a byte order
/// mark at the start of the file is dropped.
///
/// Every line is valid UTF-8 without NUL bytes; otherwise an Error names file, line, column (in characters, from 1),
/// the byte and the remedy. NUL bytes are refused always: they mean a binary file, or UTF-16.
class LineReader {
 public:
  explicit LineReader(const std::filesystem::path& path, LineOptions options = {}, FilePlace start = {});
  /// `source` must stand at `start`.
  explicit LineReader(ByteReader source, LineOptions options = {}, FilePlace start = {});

  /// The next line without its end, valid until the next call; false at the end of the file.
  bool next(std::string_view& line);
  /// Number of the line last read, from 1.
  std::int64_t line() const { return place_.line; }
  /// Where the next line starts.
  FilePlace place() const { return place_; }
  /// The end of the line last read: "\n", "\r\n", or "" for a last line without one.
  std::string_view line_end() const { return line_end_; }
  const std::string& name() const { return source_.name(); }
  const LineOptions& options() const { return options_; }

  /// An Error "FILE, line N: …" about the line last read.
  template <class... Arguments>
  Error error(std::string_view pattern, const Arguments&... arguments) const {
    return error_at(place_.line, pattern, arguments...);
  }
  template <class... Arguments>
  Error error_at(std::int64_t line, std::string_view pattern, const Arguments&... arguments) const {
    return Error("{}, line {}: {}", name(), line, format(pattern, arguments...));
  }

 private:
  bool raw_line(std::string_view& line);
  void check_length(std::size_t bytes) const;
  [[noreturn]] void refuse(std::string_view line, std::size_t at) const;

  ByteReader source_;
  LineOptions options_;
  FilePlace place_;
  std::string_view chunk_;  // what the source gave and no line has taken yet
  std::string joined_;      // a line that lies in several chunks
  std::string replaced_;
  std::string_view line_end_;
};

}  // namespace heed
