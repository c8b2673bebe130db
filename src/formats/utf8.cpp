#include "formats/utf8.h"

#include <cstring>

namespace heed {

namespace {

constexpr std::uint64_t high_bits = 0x8080808080808080u;

/// The first byte at or after `at` that is not ASCII, eight bytes a step.
std::size_t skip_ascii(std::string_view text, std::size_t at) {
  while (at + 8 <= text.size()) {
    std::uint64_t eight;
    std::memcpy(&eight, text.data() + at, 8);
    if (eight & high_bits) break;
    at += 8;
  }
  while (at < text.size() && static_cast<unsigned char>(text[at]) < 0x80) ++at;
  return at;
}

}  // namespace

Utf8Character decode_utf8(std::string_view text, std::size_t at) {
  const auto lead = static_cast<unsigned char>(text[at]);
  if (lead < 0x80) return {lead, 1, true};
  const Utf8Character bad{replacement_character, 1, false};
  if (lead < 0xc2 || lead > 0xf4) return bad;
  const int bytes = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  // The second byte's range shuts out overlong forms (E0, F0), surrogates (ED) and numbers above U+10FFFF (F4).
  unsigned low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
  unsigned high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
  char32_t code = lead & (0x7fu >> bytes);
  for (int i = 1; i < bytes; ++i) {
    const std::size_t place = at + static_cast<std::size_t>(i);
    const unsigned next = place < text.size() ? static_cast<unsigned char>(text[place]) : 0u;
    if (next < low || next > high) return {replacement_character, i, false};
    code = (code << 6) | (next & 0x3fu);
    low = 0x80;
    high = 0xbf;
  }
  return {code, bytes, true};
}

void append_utf8(std::string& text, char32_t code) {
  if (code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) code = replacement_character;
  const auto push = [&](char32_t byte) { text.push_back(static_cast<char>(static_cast<unsigned char>(byte))); };
  if (code < 0x80) {
    push(code);
  } else if (code < 0x800) {
    push(0xc0 | (code >> 6));
    push(0x80 | (code & 0x3f));
  } else if (code < 0x10000) {
    push(0xe0 | (code >> 12));
    push(0x80 | ((code >> 6) & 0x3f));
    push(0x80 | (code & 0x3f));
  } else {
    push(0xf0 | (code >> 18));
    push(0x80 | ((code >> 12) & 0x3f));
    push(0x80 | ((code >> 6) & 0x3f));
    push(0x80 | (code & 0x3f));
  }
}

std::size_t find_bad_utf8(std::string_view text) {
  std::size_t at = 0;
  while ((at = skip_ascii(text, at)) < text.size()) {
    // Text that is not ASCII comes in runs: stay in the decoder while it lasts.
    while (at < text.size() && static_cast<unsigned char>(text[at]) >= 0x80) {
      const Utf8Character character = decode_utf8(text, at);
      if (!character.valid) return at;
      at += static_cast<std::size_t>(character.bytes);
    }
  }
  return std::string_view::npos;
}

std::string replace_bad_utf8(std::string_view text) {
  std::string replaced;
  replaced.reserve(text.size() + 8);
  for (std::size_t at; (at = find_bad_utf8(text)) != std::string_view::npos;) {
    replaced.append(text.substr(0, at));
    append_utf8(replaced, replacement_character);
    text.remove_prefix(at + static_cast<std::size_t>(decode_utf8(text, at).bytes));
  }
  return replaced.append(text);
}

std::int64_t utf8_length(std::string_view text) {
  std::int64_t characters = 0;
  for (const char byte : text) characters += (static_cast<unsigned char>(byte) & 0xc0) != 0x80;
  return characters;
}

std::u32string to_utf32(std::string_view text) {
  std::u32string codes;
  codes.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const Utf8Character character = decode_utf8(text, at);
    codes.push_back(character.code);
    at += static_cast<std::size_t>(character.bytes);
  }
  return codes;
}

std::string to_utf8(std::u32string_view codes) {
  std::string text;
  text.reserve(codes.size());
  for (const char32_t code : codes) append_utf8(text, code);
  return text;
}

}  // namespace heed
