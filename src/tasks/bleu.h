#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace heed {

enum class BleuTokenizer { mteval_13a, international, characters, none };
enum class BleuSmoothing { exponential, floor, add_k, none };

struct BleuOptions {
  BleuTokenizer tokenizer = BleuTokenizer::mteval_13a;
  BleuSmoothing smoothing = BleuSmoothing::exponential;
  /// The numerator of `floor` (default 0.1) in place of no match, and what `add_k` (default 1) adds beyond unigrams.
  std::optional<double> smoothing_value = {};
  bool lowercase = false;
  /// The mean stops at the longest n-grams the hypotheses are long enough to have: for single sentences.
  bool effective_order = false;
  int max_order = 4;

  /// How a score was made, in the notation of sacreBLEU, as in "nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp".
  std::string signature(size_t reference_sets) const;
};

/// What BLEU is computed from; adds up over sentences.
struct BleuStatistics {
  /// By order less one: n-grams of the hypotheses, and those of them that a reference has (clipped to its count).
  std::vector<int64_t> matches, totals;
  /// In words; of several references the one nearest in length counts, the shorter of two as near.
  int64_t hypothesis_length = 0, reference_length = 0;

  BleuStatistics& operator+=(const BleuStatistics& other);
};

struct Bleu {
  /// 0 … 100, the score as each of the precisions.
  double score = 0;
  std::vector<double> precisions;
  double brevity_penalty = 1;
  int64_t hypothesis_length = 0, reference_length = 0;

  /// "BLEU = 48.53 82.4/50.0/45.5/37.5 (BP = 0.943 ratio = 0.944 hyp_len = 17 ref_len = 18)"
  std::string text() const;
};

/// BLEU of a corpus: the geometric mean of n-gram precisions times a penalty on too short hypotheses.
///
/// references: one vector of lines for each set of references, each as long as `hypotheses`. Throws Error naming both
/// counts when one is not, when there is no set or no sentence, or when max_order is below 1.
/// Papineni et al. 2002; smoothing as in Chen & Cherry 2014; tokenizers and edge cases as sacreBLEU (Post 2018).
Bleu corpus_bleu(const std::vector<std::string>& hypotheses, const std::vector<std::vector<std::string>>& references,
                 const BleuOptions& options = {});

Bleu sentence_bleu(std::string_view hypothesis, const std::vector<std::string>& references,
                   const BleuOptions& options = {.effective_order = true});

/// The two halves of the functions above.
BleuStatistics bleu_statistics(std::string_view hypothesis, const std::vector<std::string_view>& references,
                               const BleuOptions& options = {});
Bleu bleu_from_statistics(const BleuStatistics& statistics, const BleuOptions& options = {});

}  // namespace heed
