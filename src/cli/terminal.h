#pragma once
#include <chrono>
#include <string>

namespace heed::cli {

/// Everything but answers goes to stderr.
void say(const std::string& line);
/// True when stderr is a terminal (and NO_COLOR is not set, for colours).
bool is_terminal();
bool in_colour();
/// Of the terminal on stderr; 80 where there is none.
int terminal_columns();

std::string bold(const std::string& text);
std::string dim(const std::string& text);
std::string green(const std::string& text);
std::string red(const std::string& text);

std::string with_thousands(std::int64_t number);  ///< 1,234,567
std::string as_time(double seconds);              ///< 0:07, 3:12, 1:02:45
std::string as_bytes(double bytes);               ///< 3.8 GB
std::string fixed(double value, int digits);

/// A bar with what is known on a terminal, redrawn in place; in a log a plain line every so often.
class ProgressBar {
 public:
  /// `share` in [0, 1]; `text` follows the bar. Cheap to call often.
  void show(double share, const std::string& text);
  /// Writes a line above the bar.
  void note(const std::string& line);
  void finish();

 private:
  using Clock = std::chrono::steady_clock;
  Clock::time_point shown_{};
  bool drawn_ = false;
};

}  // namespace heed::cli
