#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tasks/metric_tokenizers.h"

namespace heed {

/// How a score was made, in the notation of sacreBLEU: "nrefs:1|case:lc|tok:tercom|norm:no|punct:yes|asian:no".
std::string ter_signature(size_t reference_sets, const TerOptions& options = {});

/// Adds up over sentences.
struct TerStatistics {
  /// Of the reference that takes the fewest.
  int64_t edits = 0;
  /// In words, the mean of the references.
  double reference_length = 0;

  /// 100 × edits / reference length; 100 when there are edits but no reference words.
  double score() const;
};

/// Translation edit rate of a corpus in percent, 0 for equal texts and beyond 100 when most words are too many:
/// insertions, deletions, substitutions and shifts of a block of words, each one edit, by the length of the references.
///
/// Shifts are searched greedily within Tercom's limits: blocks of at most 10 words that match the reference at most 50
/// words away, edit distances in a beam of 25 around the diagonal, at most 1000 tries a sentence.
/// references: one vector of lines for each set of references, each as long as `hypotheses`. Throws Error naming both
/// counts when one is not, or when there is no set or no sentence.
/// Snover et al. 2006; edge cases as sacreBLEU's port of Tercom.
double corpus_ter(const std::vector<std::string>& hypotheses, const std::vector<std::vector<std::string>>& references,
                  const TerOptions& options = {});

double sentence_ter(std::string_view hypothesis, const std::vector<std::string>& references,
                    const TerOptions& options = {});

TerStatistics ter_statistics(std::string_view hypothesis, const std::vector<std::string_view>& references,
                             const TerOptions& options = {});

}  // namespace heed
