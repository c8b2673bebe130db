#pragma once
#include <string>
#include <string_view>

/// How the machine-translation metrics cut a line into words. Each function returns the words joined by single spaces.
namespace heed {

/// NIST's mteval-v13a, the tokenizer of published BLEU scores: ASCII punctuation stands alone, but for periods and
/// commas within numbers and for apostrophes and dashes that follow no digit.
std::string tokenize_13a(std::string_view line);

/// NIST's mteval-v14 with --international-tokenization: every Unicode punctuation mark stands alone unless between
/// two numbers, and every symbol always.
std::string tokenize_international(std::string_view line);

/// Every code point that is not white space.
std::string tokenize_characters(std::string_view line);

/// Tercom's own tokenization, whose defaults only lower-case.
struct TerOptions {
  bool case_sensitive = false;
  /// Words are cut as mteval does, and a possessive 's off its word.
  bool normalized = false;
  /// . , ? : ; ! " ( ) are dropped.
  bool remove_punctuation = false;
  /// With `normalized`, ideographs and wide punctuation stand alone (runs of kana stay as they are); with
  /// `remove_punctuation`, wide punctuation is dropped.
  bool asian_support = false;
};

std::string tokenize_tercom(std::string_view line, const TerOptions& options = {});

}  // namespace heed
