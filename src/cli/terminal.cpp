#include "cli/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

namespace heed::cli {

void say(const std::string& line) { std::fprintf(stderr, "%s\n", line.c_str()); }

bool is_terminal() { return isatty(STDERR_FILENO) != 0; }
int terminal_columns() {
  winsize size{};
  return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}
bool in_colour() {
  const char* none = std::getenv("NO_COLOR");
  return is_terminal() && (none == nullptr || *none == '\0');
}

namespace {

std::string styled(const char* code, const std::string& text) {
  return in_colour() ? "\033[" + std::string(code) + "m" + text + "\033[0m" : text;
}

}  // namespace

std::string bold(const std::string& text) { return styled("1", text); }
std::string dim(const std::string& text) { return styled("2", text); }
std::string green(const std::string& text) { return styled("32", text); }
std::string red(const std::string& text) { return styled("31", text); }

std::string with_thousands(std::int64_t number) {
  std::string digits = std::to_string(number < 0 ? -number : number);
  for (std::size_t place = digits.size(); place > 3; place -= 3) digits.insert(place - 3, ",");
  return number < 0 ? "-" + digits : digits;
}

std::string as_time(double seconds) {
  const auto whole = static_cast<long long>(seconds + 0.5);
  char text[32];
  if (whole >= 3600)
    std::snprintf(text, sizeof text, "%lld:%02lld:%02lld", whole / 3600, whole / 60 % 60, whole % 60);
  else
    std::snprintf(text, sizeof text, "%lld:%02lld", whole / 60, whole % 60);
  return text;
}

std::string as_bytes(double bytes) {
  const char* units[] = {"B", "kB", "MB", "GB", "TB"};
  int unit = 0;
  while (bytes >= 1000.0 && unit < 4) bytes /= 1000.0, ++unit;
  return fixed(bytes, unit == 0 || bytes >= 100.0 ? 0 : 1) + " " + units[unit];
}

std::string fixed(double value, int digits) {
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", digits, value);
  return text;
}

void ProgressBar::show(double share, const std::string& text) {
  const auto now = Clock::now();
  const auto interval = is_terminal() ? std::chrono::milliseconds(100) : std::chrono::milliseconds(10000);
  if (share < 1.0 && now - shown_ < interval) return;
  shown_ = now;
  if (!is_terminal()) {
    std::fprintf(stderr, "%3.0f %%  %s\n", 100.0 * share, text.c_str());
    return;
  }
  constexpr int width = 28;
  const int filled = static_cast<int>(share * width + 0.5);
  std::string bar;
  for (int i = 0; i < width; ++i) bar += i < filled ? "━" : "╌";
  std::string line = text;
  const int room = terminal_columns() - width - 9;
  if (room > 0 && static_cast<int>(line.size()) > room) line.resize(static_cast<std::size_t>(room));
  std::fprintf(stderr, "\r\033[K%s %3.0f %%  %s", green(bar).c_str(), 100.0 * share, line.c_str());
  std::fflush(stderr);
  drawn_ = true;
}

void ProgressBar::note(const std::string& line) {
  if (drawn_) std::fprintf(stderr, "\r\033[K");
  drawn_ = false;
  say(line);
  shown_ = {};
}

void ProgressBar::finish() {
  if (drawn_) std::fprintf(stderr, "\n");
  drawn_ = false;
}

}  // namespace heed::cli
