#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace heed {

/// Evenly spread lines of a text of any length, within a bound of memory, in one pass: all of them while they fit; each
/// time they do not, every second line kept is dropped and from then on half as many are taken.
class ThinnedLines {
 public:
  /// Lines longer than `longest` bytes are cut, at a space if there is one, else between characters.
  ThinnedLines(std::size_t most_bytes, std::size_t longest) : most_bytes_(most_bytes), longest_(longest) {}
  /// A text of one or more lines. Tabs and "▅" become spaces: SentencePiece, which uses them itself, passes over
  /// sentences that hold one.
  void add(std::string_view text);
  const std::vector<std::string>& lines() const { return lines_; }

 private:
  void add_line(std::string_view line);
  void thin_out();

  std::size_t most_bytes_, longest_;
  std::vector<std::string> lines_;
  std::size_t bytes_ = 0;
  std::uint64_t seen_ = 0, stride_ = 1;  // every stride-th line is kept
};

}  // namespace heed
