#pragma once
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>

namespace heed {

namespace detail {

template <class T>
void write_text(std::ostream& out, const T& value) {
  if constexpr (requires { value.text(); })
    out << value.text();
  else
    out << value;
}

inline void format_into(std::ostream& out, std::string_view pattern) { out << pattern; }

template <class First, class... Rest>
void format_into(std::ostream& out, std::string_view pattern, const First& first, const Rest&... rest) {
  const auto place = pattern.find("{}");
  out << pattern.substr(0, place);
  if (place == std::string_view::npos) return;
  write_text(out, first);
  format_into(out, pattern.substr(place + 2), rest...);
}

}  // namespace detail

/// `pattern` with each "{}" replaced by the next argument: whatever `<<` prints, or has a `text()`.
template <class... Arguments>
std::string format(std::string_view pattern, const Arguments&... arguments) {
  std::ostringstream out;
  detail::format_into(out, pattern, arguments...);
  return out.str();
}

/// The one exception of heed: a sentence that names the operation, the actual shapes or the file and place, what was
/// expected, and what would mend it. The library never prints, exits or aborts.
class Error : public std::runtime_error {
 public:
  template <class... Arguments>
  explicit Error(std::string_view pattern, const Arguments&... arguments)
      : std::runtime_error(heed::format(pattern, arguments...)) {}
};

}  // namespace heed
