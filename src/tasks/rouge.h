#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "tasks/classification_metrics.h"

namespace heed {

struct RougeOptions {
  /// Words of more than three letters are compared by their Porter stems.
  bool stem = false;
};

/// ROUGE compares runs of a–z and 0–9 of the lower-cased texts; all else separates them. (Text in other scripts has
/// therefore no words, as in the reference tools.) Scores are 0 … 1; a ratio of nothing to nothing is 0.
///
/// Lin 2004 (W04-1013); edge cases as the rouge_score package of Google Research.

/// Overlap of n-grams of the whole texts, an n-gram matching as often as both have it.
PrecisionRecall rouge_n(std::string_view hypothesis, std::string_view reference, int n,
                        const RougeOptions& options = {});
/// The longest common subsequence of the whole texts.
PrecisionRecall rouge_l(std::string_view hypothesis, std::string_view reference, const RougeOptions& options = {});
/// Lines are sentences: for each of the reference the union of its longest common subsequences with those of the
/// hypothesis, a word counting as often as both texts have it.
PrecisionRecall rouge_l_sum(std::string_view hypothesis, std::string_view reference, const RougeOptions& options = {});
/// As rouge_l_sum, of subsequences in which a run of k matches in succession weighs k^weight (weight at least 1),
/// scaled as by ROUGE-1.5.5.
PrecisionRecall rouge_w(std::string_view hypothesis, std::string_view reference, double weight = 1.2,
                        const RougeOptions& options = {});

struct RougeScores {
  PrecisionRecall rouge_1, rouge_2, rouge_l, rouge_l_sum;
};

/// Of several references each measure takes the one with its best F1. Throws Error when there is none.
RougeScores rouge(std::string_view hypothesis, const std::vector<std::string>& references,
                  const RougeOptions& options = {});

/// Means over the hypotheses. references: of each hypothesis one or more. Throws Error naming both counts when they
/// differ, and when there is no hypothesis.
RougeScores corpus_rouge(const std::vector<std::string>& hypotheses,
                         const std::vector<std::vector<std::string>>& references, const RougeOptions& options = {});

}  // namespace heed
