#include "tasks/metric_tokenizers.h"

#include <algorithm>

#include "formats/utf8.h"
#include "text/unicode.h"

namespace heed {

namespace {

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  for (size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size())
    text.replace(at, from.size(), to);
}

void resolve_entities(std::string& text) {
  if (text.find('&') == std::string::npos) return;
  // One after the other, so that a doubly escaped "&amp;lt;" becomes "<", as in mteval.
  replace_all(text, "&quot;", "\"");
  replace_all(text, "&amp;", "&");
  replace_all(text, "&lt;", "<");
  replace_all(text, "&gt;", ">");
}

/// A space before and after each character of which `alone` holds.
template <class Text, class Predicate>
Text isolate(const Text& text, Predicate alone) {
  Text apart;
  apart.reserve(2 * text.size());
  for (const auto c : text) {
    if (alone(c))
      apart += {' ', c, ' '};
    else
      apart += c;
  }
  return apart;
}

/// Puts a space behind the first (`before`), between, or behind the second of each two neighbours for which `pair`
/// holds. Pairs do not overlap: the first from the left wins, as with a regular expression's substitution.
struct Spaces {
  bool before, between, behind;
};

template <class Text, class Predicate>
Text space_pairs(const Text& text, Spaces spaces, Predicate pair) {
  Text apart;
  apart.reserve(2 * text.size());
  size_t i = 0;
  for (; i + 1 < text.size(); ++i) {
    if (!pair(text[i], text[i + 1])) {
      apart += text[i];
      continue;
    }
    if (spaces.before) apart += ' ';
    apart += text[i];
    if (spaces.between) apart += ' ';
    apart += text[++i];
    if (spaces.behind) apart += ' ';
  }
  if (i < text.size()) apart += text[i];
  return apart;
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_point(char c) { return c == '.' || c == ','; }

/// ASCII but for controls, letters, digits, and ' , - . (the space among them does no harm).
bool is_mteval_punctuation(char c) {
  return (c >= ' ' && c <= '&') || (c >= '(' && c <= '+') || c == '/' || (c >= ':' && c <= '@') ||
         (c >= '[' && c <= '`') || (c >= '{' && c <= '~');
}

// These work on bytes: what they look for is ASCII, and a byte of a longer character is neither a digit nor a point.
std::string isolate_points(const std::string& text) {
  std::string apart = space_pairs(text, {.before = false, .between = true, .behind = true},
                                  [](char a, char b) { return !is_digit(a) && is_point(b); });
  apart = space_pairs(apart, {.before = true, .between = true, .behind = false},
                      [](char a, char b) { return is_point(a) && !is_digit(b); });
  return space_pairs(apart, {.before = false, .between = true, .behind = true},
                     [](char a, char b) { return is_digit(a) && b == '-'; });
}

std::string joined_words(std::string_view text) {
  std::string joined;
  joined.reserve(text.size());
  for (const std::string_view word : unicode::words(text)) {
    if (!joined.empty()) joined += ' ';
    joined += word;
  }
  return joined;
}

/// Radicals, strokes, ideographs and their enclosed, squared and compatibility forms.
bool is_ideographic(char32_t c) {
  return (c >= 0x2E80 && c <= 0x2EFF) || (c >= 0x31C0 && c <= 0x31EF) || (c >= 0x3200 && c <= 0x4DBF) ||
         (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0xF900 && c <= 0xFAFF) || (c >= 0xFE30 && c <= 0xFE4F);
}

bool is_wide_punctuation(char32_t c) {
  constexpr std::u32string_view fullwidth = U"\uFF0E\uFF0C\uFF1F\uFF1A\uFF1B\uFF01\uFF02\uFF08\uFF09";
  return c == 0x3001 || c == 0x3002 || (c >= 0x3008 && c <= 0x3011) || (c >= 0x3014 && c <= 0x301F) || c == 0x30FB ||
         (c >= 0xFF61 && c <= 0xFF65) || fullwidth.find(c) != std::u32string_view::npos;
}

std::string normalize_western(std::string_view line) {
  std::string text = " " + std::string(line) + " ";
  replace_all(text, "\n-", "");
  replace_all(text, "\n", " ");
  resolve_entities(text);
  text = isolate(text, is_mteval_punctuation);
  replace_all(text, "'s ", " 's ");
  return isolate_points(text);
}

std::string normalize_asian(const std::string& line) {
  // Tercom's rules for runs of kana ask for a run that fills the whole text, which is padded by then, so none applies.
  return to_utf8(isolate(to_utf32(line), [](char32_t c) { return is_ideographic(c) || is_wide_punctuation(c); }));
}

}  // namespace

std::string tokenize_13a(std::string_view line) {
  std::string text = " " + std::string(line);
  replace_all(text, "<skipped>", "");
  replace_all(text, "-\n", "");
  replace_all(text, "\n", " ");
  resolve_entities(text);
  text += ' ';
  return joined_words(isolate_points(isolate(text, is_mteval_punctuation)));
}

std::string tokenize_international(std::string_view line) {
  std::u32string text = to_utf32(line);
  text = space_pairs(text, {.before = false, .between = true, .behind = true},
                     [](char32_t a, char32_t b) { return unicode::is_punctuation(b) && !unicode::is_number(a); });
  text = space_pairs(text, {.before = true, .between = true, .behind = false},
                     [](char32_t a, char32_t b) { return unicode::is_punctuation(a) && !unicode::is_number(b); });
  return joined_words(to_utf8(isolate(text, unicode::is_symbol)));
}

std::string tokenize_characters(std::string_view line) {
  return joined_words(to_utf8(isolate(to_utf32(line), [](char32_t) { return true; })));
}

std::string tokenize_tercom(std::string_view line, const TerOptions& options) {
  std::string text = options.case_sensitive ? std::string(line) : unicode::lowercase(line);
  if (options.normalized) {
    text = normalize_western(text);
    if (options.asian_support) text = normalize_asian(text);
  }
  if (options.remove_punctuation) {
    std::erase_if(text, [](char c) { return std::string_view(".,?:;!\"()").find(c) != std::string_view::npos; });
    if (options.asian_support) {
      std::u32string code_points = to_utf32(text);
      std::erase_if(code_points, is_wide_punctuation);
      text = to_utf8(code_points);
    }
  }
  return joined_words(text);
}

}  // namespace heed
