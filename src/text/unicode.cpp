#include "text/unicode.h"

#include <algorithm>
#include <iterator>

#include "formats/utf8.h"
#include "text/unicode_tables.h"

namespace heed::unicode {

namespace {

constexpr char32_t capital_sigma = 0x3A3, small_sigma = 0x3C3, final_sigma = 0x3C2;

/// The code point at `at`, which moves past it.
char32_t next(std::string_view text, size_t& at) {
  if (const auto byte = static_cast<unsigned char>(text[at]); byte < 0x80) return ++at, byte;
  const Utf8Character character = decode_utf8(text, at);
  at += static_cast<size_t>(character.bytes);
  return character.code;
}

template <size_t size>
bool within(const char32_t (&edges)[size], char32_t c) {
  return (std::upper_bound(std::begin(edges), std::end(edges), c) - std::begin(edges)) % 2 == 1;
}

char32_t lowercase(char32_t c) {
  const auto run = std::partition_point(std::begin(lowercase_runs), std::end(lowercase_runs),
                                        [c](const LowercaseRun& r) { return r.last < c; });
  if (run == std::end(lowercase_runs) || c < run->first || (c - run->first) % static_cast<char32_t>(run->step) != 0)
    return c;
  return static_cast<char32_t>(static_cast<int>(c) + run->distance);
}

/// Whether the sigma at `at` ends a word: a letter stands before it and none after it, case-ignorable marks skipped.
bool ends_word(const std::u32string& text, size_t at) {
  const auto ignorable = [](char32_t c) { return within(case_ignorable_edges, c); };
  const auto sigma = text.begin() + static_cast<std::ptrdiff_t>(at);
  const auto before = std::find_if_not(std::make_reverse_iterator(sigma), text.rend(), ignorable);
  const auto after = std::find_if_not(sigma + 1, text.end(), ignorable);
  return before != text.rend() && within(cased_edges, *before) && (after == text.end() || !within(cased_edges, *after));
}

}  // namespace

bool is_space(char32_t c) {
  if (c < 0x80) return c == ' ' || (c >= '\t' && c <= '\r') || (c >= 0x1C && c <= 0x1F);
  return c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 ||
         c == 0x202F || c == 0x205F || c == 0x3000;
}

bool is_punctuation(char32_t c) { return within(punctuation_edges, c); }
bool is_number(char32_t c) { return within(number_edges, c); }
bool is_symbol(char32_t c) { return within(symbol_edges, c); }

std::vector<std::string_view> words(std::string_view text) {
  std::vector<std::string_view> found;
  size_t begin = 0;
  for (size_t at = 0; at < text.size();) {
    const size_t end = at;
    if (!is_space(next(text, at))) continue;
    if (end > begin) found.push_back(text.substr(begin, end - begin));
    begin = at;
  }
  if (text.size() > begin) found.push_back(text.substr(begin));
  return found;
}

std::string_view without_trailing_space(std::string_view text) {
  size_t end = 0;
  for (size_t at = 0; at < text.size();)
    if (!is_space(next(text, at))) end = at;
  return text.substr(0, end);
}

std::string lowercase(std::string_view text) {
  const std::u32string code_points = to_utf32(text);
  std::u32string lower;
  lower.reserve(code_points.size());
  for (size_t i = 0; i < code_points.size(); ++i) {
    const char32_t c = code_points[i];
    if (c == capital_sigma)
      lower.push_back(ends_word(code_points, i) ? final_sigma : small_sigma);
    else if (c == 0x130)
      lower += U"i\u0307";
    else
      lower.push_back(lowercase(c));
  }
  return to_utf8(lower);
}

}  // namespace heed::unicode
