#pragma once
#include <string>
#include <string_view>
#include <vector>

/// The few facts of Unicode that vocabularies and text metrics rest on. All text is UTF-8; ill-formed pieces read as
/// U+FFFD, so nothing here throws.
namespace heed::unicode {

/// White space as Python's str.isspace: category Z, and the separators among the control characters.
bool is_space(char32_t c);
bool is_punctuation(char32_t c);
bool is_number(char32_t c);
bool is_symbol(char32_t c);

/// The maximal runs of `text` without white space, as views into it.
std::vector<std::string_view> words(std::string_view text);

std::string_view without_trailing_space(std::string_view text);

/// Full lower-casing, as Python's str.lower: İ becomes two code points, and Σ at a word's end becomes ς.
std::string lowercase(std::string_view text);

}  // namespace heed::unicode
