#include "tasks/bleu.h"

#include <heed/error.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <iomanip>
#include <limits>
#include <sstream>

#include "tasks/corpus_shape.h"
#include "tasks/metric_tokenizers.h"
#include "tasks/ngrams.h"
#include "text/unicode.h"

namespace heed {

namespace {

void check_order(const BleuOptions& options) {
  if (options.max_order < 1)
    throw Error("BLEU: the longest n-gram is {} words; it must be at least 1", options.max_order);
}

std::string tokenized(std::string_view line, const BleuOptions& options) {
  std::string lower;
  if (options.lowercase) line = lower = unicode::lowercase(line);
  line = unicode::without_trailing_space(line);
  switch (options.tokenizer) {
    case BleuTokenizer::mteval_13a:
      return tokenize_13a(line);
    case BleuTokenizer::international:
      return tokenize_international(line);
    case BleuTokenizer::characters:
      return tokenize_characters(line);
    case BleuTokenizer::none:
      break;
  }
  return std::string(line);
}

double smoothing_value(const BleuOptions& options) {
  return options.smoothing_value.value_or(options.smoothing == BleuSmoothing::floor ? 0.1 : 1.0);
}

double brevity_penalty(double hypothesis_length, double reference_length) {
  if (hypothesis_length >= reference_length) return 1;
  return hypothesis_length > 0 ? std::exp(1 - reference_length / hypothesis_length) : 0;
}

}  // namespace

std::string BleuOptions::signature(size_t reference_sets) const {
  constexpr const char* tokenizers[] = {"13a", "intl", "char", "none"};
  constexpr const char* smoothings[] = {"exp", "floor", "add-k", "none"};
  std::ostringstream text;
  text << "nrefs:" << reference_sets << "|case:" << (lowercase ? "lc" : "mixed")
       << "|eff:" << (effective_order ? "yes" : "no") << "|tok:" << tokenizers[static_cast<int>(tokenizer)]
       << "|smooth:" << smoothings[static_cast<int>(smoothing)];
  if (smoothing == BleuSmoothing::floor || smoothing == BleuSmoothing::add_k)
    text << '[' << std::fixed << std::setprecision(2) << heed::smoothing_value(*this) << ']';
  return text.str();
}

BleuStatistics& BleuStatistics::operator+=(const BleuStatistics& other) {
  const size_t orders = std::max(matches.size(), other.matches.size());
  matches.resize(orders), totals.resize(orders);
  for (size_t i = 0; i < other.matches.size(); ++i) matches[i] += other.matches[i], totals[i] += other.totals[i];
  hypothesis_length += other.hypothesis_length;
  reference_length += other.reference_length;
  return *this;
}

std::string Bleu::text() const {
  std::ostringstream text;
  text << std::fixed << std::setprecision(2) << "BLEU = " << score << ' ' << std::setprecision(1);
  for (size_t i = 0; i < precisions.size(); ++i) text << (i ? "/" : "") << precisions[i];
  const double ratio =
      reference_length ? static_cast<double>(hypothesis_length) / static_cast<double>(reference_length) : 0;
  text << std::setprecision(3) << " (BP = " << brevity_penalty << " ratio = " << ratio
       << " hyp_len = " << hypothesis_length << " ref_len = " << reference_length << ')';
  return text.str();
}

BleuStatistics bleu_statistics(std::string_view hypothesis, const std::vector<std::string_view>& references,
                               const BleuOptions& options) {
  check_order(options);
  if (references.empty()) throw Error("BLEU: there are no references for a hypothesis");

  std::vector<std::string> lines{tokenized(hypothesis, options)};
  for (const std::string_view reference : references) lines.push_back(tokenized(reference, options));
  WordNumbers numbers;
  std::vector<std::vector<uint32_t>> texts;
  for (const std::string& line : lines) texts.push_back(numbers(unicode::words(line)));

  BleuStatistics statistics;
  const auto length = [](const std::vector<uint32_t>& text) { return static_cast<int64_t>(text.size()); };
  statistics.hypothesis_length = length(texts[0]);
  const auto nearest = std::min_element(texts.begin() + 1, texts.end(), [&](const auto& a, const auto& b) {
    const auto distance = [&](const auto& text) { return std::abs(length(text) - statistics.hypothesis_length); };
    return std::pair(distance(a), a.size()) < std::pair(distance(b), b.size());
  });
  statistics.reference_length = length(*nearest);

  statistics.matches.resize(static_cast<size_t>(options.max_order));
  statistics.totals.resize(statistics.matches.size());
  visit_ngrams(texts, options.max_order, [&](int order, std::span<const int64_t> counts) {
    const size_t n = static_cast<size_t>(order) - 1;
    statistics.totals[n] += counts[0];
    statistics.matches[n] += std::min(counts[0], *std::max_element(counts.begin() + 1, counts.end()));
  });
  return statistics;
}

Bleu bleu_from_statistics(const BleuStatistics& statistics, const BleuOptions& options) {
  check_order(options);
  const size_t max_order = static_cast<size_t>(options.max_order);
  if (statistics.matches.size() < max_order || statistics.totals.size() < max_order)
    throw Error("BLEU: statistics of {} orders of n-grams, expected {}",
                std::min(statistics.matches.size(), statistics.totals.size()), max_order);

  Bleu bleu;
  bleu.hypothesis_length = statistics.hypothesis_length;
  bleu.reference_length = statistics.reference_length;
  bleu.precisions.assign(max_order, 0.0);
  bleu.brevity_penalty = brevity_penalty(static_cast<double>(statistics.hypothesis_length),
                                         static_cast<double>(statistics.reference_length));
  // Where not one word matches, the score is 0 under every smoothing.
  if (std::all_of(statistics.matches.begin(), statistics.matches.end(), [](int64_t m) { return m == 0; })) return bleu;

  const double value = smoothing_value(options);
  double halving = 1;
  size_t effective_order = max_order;
  for (size_t i = 0; i < max_order; ++i) {
    const double added = options.smoothing == BleuSmoothing::add_k && i > 0 ? value : 0;
    const double match = static_cast<double>(statistics.matches[i]) + added;
    const double total = static_cast<double>(statistics.totals[i]) + added;
    if (total == 0) break;
    if (options.effective_order) effective_order = i + 1;
    if (match > 0)
      bleu.precisions[i] = 100 * match / total;
    else if (options.smoothing == BleuSmoothing::exponential)
      bleu.precisions[i] = 100 / ((halving *= 2) * total);
    else if (options.smoothing == BleuSmoothing::floor)
      bleu.precisions[i] = 100 * value / total;
  }

  double logarithms = 0;
  for (size_t i = 0; i < effective_order; ++i)
    logarithms += bleu.precisions[i] > 0 ? std::log(bleu.precisions[i]) : -std::numeric_limits<double>::infinity();
  bleu.score = bleu.brevity_penalty * std::exp(logarithms / static_cast<double>(effective_order));
  return bleu;
}

Bleu corpus_bleu(const std::vector<std::string>& hypotheses, const std::vector<std::vector<std::string>>& references,
                 const BleuOptions& options) {
  check_corpus("BLEU", hypotheses, references);
  BleuStatistics sum;
  for (size_t i = 0; i < hypotheses.size(); ++i)
    sum += bleu_statistics(hypotheses[i], references_of(references, i), options);
  return bleu_from_statistics(sum, options);
}

Bleu sentence_bleu(std::string_view hypothesis, const std::vector<std::string>& references,
                   const BleuOptions& options) {
  return bleu_from_statistics(bleu_statistics(hypothesis, {references.begin(), references.end()}, options), options);
}

}  // namespace heed
