#pragma once
#include <heed/error.h>

#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace heed {

/// What a field of a configuration may hold: the optional last argument of a `fields` visitor. Made by one_of,
/// at_least, above, between and at_least_below; without one, anything of the field's type is allowed.
struct Allowed {
  std::vector<std::string> choices{};  ///< of a text; empty: any text
  double least = -std::numeric_limits<double>::infinity();
  double most = std::numeric_limits<double>::infinity();
  bool least_itself = true;      ///< is `least` itself allowed?
  bool most_itself = true;       ///< is `most` itself allowed?
  std::optional<double> also{};  ///< a value outside the range that has a meaning of its own

  bool has(std::string_view text) const {
    return choices.empty() || std::find(choices.begin(), choices.end(), text) != choices.end();
  }
  /// Never true of a number that is not finite.
  bool has(double number) const {
    if (also && number == *also) return true;
    return std::isfinite(number) && (least_itself ? number >= least : number > least) &&
           (most_itself ? number <= most : number < most);
  }
  bool any() const { return choices.empty() && std::isinf(least) && std::isinf(most); }
  /// The same, or `value` alone outside the range.
  Allowed or_exactly(double value) const {
    Allowed wider = *this;
    wider.also = value;
    return wider;
  }
  /// "relu, gelu or silu", "1 or more", "more than 0", "0 to 1", "-1, or 0 to less than 1"; "" when any() is true.
  std::string text() const {
    std::string text = also ? format("{}, or ", *also) : "";
    for (std::size_t i = 0; i < choices.size(); ++i)
      text += (i == 0 ? "" : i + 1 == choices.size() ? " or " : ", ") + choices[i];
    const std::string low = format(least_itself ? "{}" : "more than {}", least);
    if (std::isfinite(least) && std::isfinite(most))
      text += low + format(most_itself ? " to {}" : " to less than {}", most);
    else if (std::isfinite(least))
      text += low + (least_itself ? " or more" : "");
    else if (std::isfinite(most))
      text += format(most_itself ? "at most {}" : "less than {}", most);
    return text;
  }
};

inline Allowed one_of(std::initializer_list<const char*> choices) {
  return {.choices = {choices.begin(), choices.end()}};
}
inline Allowed at_least(double least) { return {.least = least}; }
inline Allowed above(double least) { return {.least = least, .least_itself = false}; }
inline Allowed between(double least, double most) { return {.least = least, .most = most}; }
/// From `least` to, but without, `most`: a dropout rate is at_least_below(0, 1).
inline Allowed at_least_below(double least, double most) {
  return {.least = least, .most = most, .most_itself = false};
}

}  // namespace heed
