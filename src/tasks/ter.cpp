#include "tasks/ter.h"

#include <heed/error.h>

#include <algorithm>
#include <limits>

#include "tasks/corpus_shape.h"
#include "tasks/ngrams.h"
#include "tasks/shifted_edits.h"
#include "text/unicode.h"

namespace heed {

std::string ter_signature(size_t reference_sets, const TerOptions& options) {
  return format("nrefs:{}|case:{}|tok:tercom|norm:{}|punct:{}|asian:{}", reference_sets,
                options.case_sensitive ? "mixed" : "lc", options.normalized ? "yes" : "no",
                options.remove_punctuation ? "no" : "yes", options.asian_support ? "yes" : "no");
}

double TerStatistics::score() const {
  if (reference_length > 0) return 100 * static_cast<double>(edits) / reference_length;
  return edits > 0 ? 100 : 0;
}

TerStatistics ter_statistics(std::string_view hypothesis, const std::vector<std::string_view>& references,
                             const TerOptions& options) {
  if (references.empty()) throw Error("TER: there are no references for a hypothesis");
  const auto tokenized = [&](std::string_view line) {
    return tokenize_tercom(unicode::without_trailing_space(line), options);
  };
  std::vector<std::string> lines{tokenized(hypothesis)};
  // sacreBLEU tokenizes references twice, which shows in few lines and only when normalized ("Ann's." becomes
  // "ann's ." and then "ann 's ."). Scores are made to be compared, so this does too.
  for (const std::string_view reference : references) lines.push_back(tokenized(tokenized(reference)));
  WordNumbers numbers;
  std::vector<std::vector<uint32_t>> texts;
  for (const std::string& line : lines) texts.push_back(numbers(unicode::words(line)));

  TerStatistics statistics{.edits = std::numeric_limits<int64_t>::max()};
  for (size_t r = 1; r < texts.size(); ++r) {
    statistics.edits = std::min(statistics.edits, shifted_edits(texts[0], texts[r]));
    statistics.reference_length += static_cast<double>(texts[r].size());
  }
  statistics.reference_length /= static_cast<double>(references.size());
  return statistics;
}

double corpus_ter(const std::vector<std::string>& hypotheses, const std::vector<std::vector<std::string>>& references,
                  const TerOptions& options) {
  check_corpus("TER", hypotheses, references);
  TerStatistics sum;
  for (size_t i = 0; i < hypotheses.size(); ++i) {
    const TerStatistics statistics = ter_statistics(hypotheses[i], references_of(references, i), options);
    sum.edits += statistics.edits;
    sum.reference_length += statistics.reference_length;
  }
  return sum.score();
}

double sentence_ter(std::string_view hypothesis, const std::vector<std::string>& references,
                    const TerOptions& options) {
  return ter_statistics(hypothesis, {references.begin(), references.end()}, options).score();
}

}  // namespace heed
