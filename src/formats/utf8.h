#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace heed {

inline constexpr char32_t replacement_character = 0xfffd;

/// One decoded character: its code point and how many bytes it took.
struct Utf8Character {
  char32_t code = 0;
  int bytes = 0;      ///< at least 1
  bool valid = true;  ///< false: `code` is U+FFFD and `bytes` is the longest ill-formed piece (Unicode 3.9, table 3-7)
};

/// The character that starts at `at`, which must be below text.size(). Strict: no overlong forms, no surrogates,
/// nothing above U+10FFFF.
Utf8Character decode_utf8(std::string_view text, std::size_t at);

/// Appends `code` as one to four bytes; a surrogate or a number above U+10FFFF becomes U+FFFD.
void append_utf8(std::string& text, char32_t code);

/// Where the first ill-formed byte sequence starts, or npos when the text is valid UTF-8.
std::size_t find_bad_utf8(std::string_view text);
inline bool valid_utf8(std::string_view text) { return find_bad_utf8(text) == std::string_view::npos; }

/// Each ill-formed piece replaced by one U+FFFD.
std::string replace_bad_utf8(std::string_view text);

/// Characters (code points) in valid UTF-8.
std::int64_t utf8_length(std::string_view text);

/// Code points of a text; ill-formed pieces become U+FFFD. `to_utf8` is the way back.
std::u32string to_utf32(std::string_view text);
std::string to_utf8(std::u32string_view codes);

}  // namespace heed
