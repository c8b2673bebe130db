#include "text/thinned_lines.h"

#include <algorithm>

namespace heed {

namespace {

constexpr std::string_view unknown_mark = "\u2585";

/// Bytes of the first piece of a line that is at most `longest` long (4 or more, so that a character fits).
std::size_t first_piece(std::string_view line, std::size_t longest) {
  if (line.size() <= longest) return line.size();
  const std::size_t space = line.rfind(' ', longest - 1);
  if (space != std::string_view::npos && space > 0) return space + 1;
  std::size_t end = longest;
  while (end > 1 && (static_cast<unsigned char>(line[end]) & 0xc0) == 0x80) --end;
  return end;
}

}  // namespace

void ThinnedLines::add(std::string_view text) {
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    while (!line.empty()) {
      const std::size_t piece = first_piece(line, longest_);
      add_line(line.substr(0, piece));
      line.remove_prefix(piece);
    }
  }
}

void ThinnedLines::add_line(std::string_view line) {
  if (seen_++ % stride_ != 0) return;
  std::string& kept = lines_.emplace_back();
  for (std::size_t at = line.find(unknown_mark); at != std::string_view::npos; at = line.find(unknown_mark)) {
    kept.append(line.substr(0, at)).push_back(' ');
    line.remove_prefix(at + unknown_mark.size());
  }
  kept.append(line);
  std::replace(kept.begin(), kept.end(), '\t', ' ');
  bytes_ += kept.size() + sizeof(std::string);
  while (bytes_ > most_bytes_ && lines_.size() > 1) thin_out();
}

void ThinnedLines::thin_out() {
  stride_ *= 2;
  std::size_t kept = 0;
  bytes_ = 0;
  for (std::size_t i = 0; i < lines_.size(); i += 2) {
    if (kept != i) lines_[kept] = std::move(lines_[i]);
    bytes_ += lines_[kept++].size() + sizeof(std::string);
  }
  lines_.resize(kept);
}

}  // namespace heed
