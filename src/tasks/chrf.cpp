#include "tasks/chrf.h"

#include <heed/error.h>

#include <algorithm>
#include <cstdint>
#include <sstream>

#include "formats/utf8.h"
#include "tasks/corpus_shape.h"
#include "tasks/ngrams.h"
#include "text/unicode.h"

namespace heed {

namespace {

struct OrderCounts {
  int64_t hypothesis = 0, reference = 0, matches = 0;
};
/// Characters' orders first, then words'.
using Counts = std::vector<OrderCounts>;

void check_orders(const ChrfOptions& options) {
  if (options.char_order < 0 || options.word_order < 0 || options.char_order + options.word_order == 0)
    throw Error("chrF: the longest n-grams are {} characters and {} words; neither may be negative, nor both zero",
                options.char_order, options.word_order);
}

bool is_ascii_punctuation(char c) {
  return (c >= '!' && c <= '/') || (c >= ':' && c <= '@') || (c >= '[' && c <= '`') || (c >= '{' && c <= '~');
}

/// Words with one punctuation mark cut off the end, or else off the beginning, as chrF++.py does.
std::vector<std::string_view> words_without_punctuation(std::string_view text) {
  std::vector<std::string_view> words;
  for (const std::string_view word : unicode::words(text)) {
    const size_t cut = word.size() == 1                     ? 0
                       : is_ascii_punctuation(word.back())  ? word.size() - 1
                       : is_ascii_punctuation(word.front()) ? 1
                                                            : 0;
    if (cut > 0) words.push_back(word.substr(0, cut));
    words.push_back(word.substr(cut));
  }
  return words;
}

std::vector<uint32_t> characters(const std::string& text, const ChrfOptions& options) {
  std::vector<uint32_t> symbols;
  for (const char32_t c : to_utf32(text))
    if (options.whitespace || !unicode::is_space(c)) symbols.push_back(c);
  return symbols;
}

/// texts[0] is the hypothesis; `counts` has one entry for each other.
void add_counts(const std::vector<std::vector<uint32_t>>& texts, int orders, size_t first,
                std::vector<Counts>& counts) {
  visit_ngrams(texts, orders, [&](int order, std::span<const int64_t> occurrences) {
    for (size_t r = 0; r < counts.size(); ++r) {
      OrderCounts& of = counts[r][first + static_cast<size_t>(order) - 1];
      of.hypothesis += occurrences[0];
      of.reference += occurrences[r + 1];
      of.matches += std::min(occurrences[0], occurrences[r + 1]);
    }
  });
}

double f_score(const Counts& counts, const ChrfOptions& options) {
  constexpr double epsilon = 1e-16;
  const double weight = options.beta * options.beta;
  double sum_of_f = 0, precisions = 0, recalls = 0;
  int effective_orders = 0;
  for (const OrderCounts& of : counts) {
    const auto matches = static_cast<double>(of.matches);
    const double precision = of.hypothesis > 0 ? matches / static_cast<double>(of.hypothesis) : epsilon;
    const double recall = of.reference > 0 ? matches / static_cast<double>(of.reference) : epsilon;
    const double denominator = weight * precision + recall;
    sum_of_f += denominator > 0 ? (1 + weight) * precision * recall / denominator : epsilon;
    if (of.hypothesis == 0 || of.reference == 0) continue;
    precisions += precision;
    recalls += recall;
    ++effective_orders;
  }
  if (options.eps_smoothing) return 100 * sum_of_f / static_cast<double>(counts.size());
  if (precisions + recalls == 0) return 0;
  precisions /= effective_orders;
  recalls /= effective_orders;
  return 100 * (1 + weight) * precisions * recalls / (weight * precisions + recalls);
}

/// The counts of the reference that scores best; the first of equals.
Counts best_counts(std::string_view hypothesis, const std::vector<std::string_view>& references,
                   const ChrfOptions& options) {
  std::vector<std::string> lines{std::string(hypothesis)};
  lines.insert(lines.end(), references.begin(), references.end());
  WordNumbers numbers;
  std::vector<std::vector<uint32_t>> letters, words;
  for (std::string& line : lines) {
    if (options.lowercase) line = unicode::lowercase(line);
    letters.push_back(characters(line, options));
    if (options.word_order > 0) words.push_back(numbers(words_without_punctuation(line)));
  }

  const auto char_order = static_cast<size_t>(options.char_order);
  std::vector<Counts> counts(references.size(), Counts(char_order + static_cast<size_t>(options.word_order)));
  add_counts(letters, options.char_order, 0, counts);
  add_counts(words, options.word_order, char_order, counts);
  for (Counts& of_reference : counts)
    // A hypothesis' n-grams do not count against it where the reference is too short to have any.
    for (OrderCounts& of : of_reference)
      if (of.reference == 0) of.hypothesis = 0;
  return *std::max_element(counts.begin(), counts.end(),
                           [&](const Counts& a, const Counts& b) { return f_score(a, options) < f_score(b, options); });
}

}  // namespace

std::string ChrfOptions::signature(size_t reference_sets) const {
  return format("nrefs:{}|case:{}|eff:{}|nc:{}|nw:{}|space:{}", reference_sets, lowercase ? "lc" : "mixed",
                eps_smoothing ? "no" : "yes", char_order, word_order, whitespace ? "yes" : "no");
}

double corpus_chrf(const std::vector<std::string>& hypotheses, const std::vector<std::vector<std::string>>& references,
                   const ChrfOptions& options) {
  check_orders(options);
  check_corpus("chrF", hypotheses, references);
  Counts sum(static_cast<size_t>(options.char_order + options.word_order));
  for (size_t i = 0; i < hypotheses.size(); ++i) {
    const Counts counts = best_counts(hypotheses[i], references_of(references, i), options);
    for (size_t n = 0; n < sum.size(); ++n) {
      sum[n].hypothesis += counts[n].hypothesis;
      sum[n].reference += counts[n].reference;
      sum[n].matches += counts[n].matches;
    }
  }
  return f_score(sum, options);
}

double sentence_chrf(std::string_view hypothesis, const std::vector<std::string>& references,
                     const ChrfOptions& options) {
  check_orders(options);
  if (references.empty()) throw Error("chrF: there are no references for a hypothesis");
  return f_score(best_counts(hypothesis, {references.begin(), references.end()}, options), options);
}

}  // namespace heed
