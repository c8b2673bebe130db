#include "formats/lines.h"

#include <algorithm>

#include "formats/utf8.h"

namespace heed {

namespace {

constexpr std::string_view byte_order_mark = "\xef\xbb\xbf";

std::string hex(char byte) {
  constexpr std::string_view digits = "0123456789abcdef";
  const auto value = static_cast<unsigned char>(byte);
  return {'0', 'x', digits[value >> 4], digits[value & 15]};
}

}  // namespace

LineReader::LineReader(const std::filesystem::path& path, LineOptions options, FilePlace start)
    : LineReader(ByteReader(path, start.byte), options, start) {}

LineReader::LineReader(ByteReader source, LineOptions options, FilePlace start)
    : source_(std::move(source)), options_(options), place_(start) {}

void LineReader::check_length(std::size_t bytes) const {
  if (static_cast<std::int64_t>(bytes) > options_.longest)
    throw error_at(place_.line + 1,
                   "the line is longer than {} bytes; split it, or raise data.max_line_bytes, if this is a text file",
                   options_.longest);
}

/// The bytes of the next line, its end taken off.
bool LineReader::raw_line(std::string_view& line) {
  joined_.clear();
  line_end_ = {};
  for (;;) {
    if (chunk_.empty()) chunk_ = source_.next();
    if (chunk_.empty()) {
      line = joined_;
      break;
    }
    const std::size_t end = chunk_.find('\n');
    const std::string_view piece = chunk_.substr(0, end);
    // Given before the whole line is at hand, so that memory stays bounded; a mark and a carriage return may yet go.
    check_length(joined_.size() + piece.size() - std::min<std::size_t>(piece.size(), place_.byte == 0 ? 4 : 1));
    chunk_.remove_prefix(end == std::string_view::npos ? chunk_.size() : end + 1);
    if (end == std::string_view::npos) {
      joined_.append(piece);
      continue;
    }
    line_end_ = "\n";
    line = piece;
    if (!joined_.empty()) line = joined_.append(piece);
    break;
  }
  if (line.empty() && line_end_.empty()) return false;
  const std::int64_t start = place_.byte;
  place_.byte += static_cast<std::int64_t>(line.size() + line_end_.size());
  if (!line_end_.empty() && line.ends_with('\r')) {
    line.remove_suffix(1);
    line_end_ = "\r\n";
  }
  if (start == 0 && line.starts_with(byte_order_mark)) {
    line.remove_prefix(byte_order_mark.size());
    if (line.empty() && line_end_.empty()) return false;  // the file is a mark and nothing else
  }
  check_length(line.size());
  ++place_.line;
  return true;
}

bool LineReader::next(std::string_view& line) {
  if (!raw_line(line)) return false;
  const std::size_t nul = line.find('\0');
  const std::size_t bad = find_bad_utf8(line.substr(0, nul));
  if (bad != std::string_view::npos && options_.bad_bytes == BadBytes::refuse) refuse(line, bad);
  if (nul != std::string_view::npos) refuse(line, nul);
  if (bad != std::string_view::npos) line = replaced_ = replace_bad_utf8(line);
  return true;
}

void LineReader::refuse(std::string_view line, std::size_t at) const {
  const std::size_t column = to_utf32(line.substr(0, at)).size() + 1;
  if (line[at] == '\0')
    throw Error("{}, line {}, column {}: byte 0x00 (NUL) is not text; is the file binary, or UTF-16? Save it as UTF-8",
                name(), place_.line, column);
  throw Error(
      "{}, line {}, column {}: byte {} is not UTF-8; save the file as UTF-8, or set data.bad_bytes = \"replace\"",
      name(), place_.line, column, hex(line[at]));
}

}  // namespace heed
