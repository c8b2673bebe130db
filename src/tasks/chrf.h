#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace heed {

struct ChrfOptions {
  /// The longest n-grams of characters and of words; with two words the score is chrF++.
  int char_order = 6, word_order = 0;
  /// Recall weighs beta² times as much as precision.
  double beta = 2;
  bool lowercase = false;
  /// Whether character n-grams span white space, or the text is taken as if it had none.
  bool whitespace = false;
  /// The mean of F over all orders, as chrF++.py and NLTK do; else F of mean precision and mean recall over the orders
  /// that both sides are long enough to have.
  bool eps_smoothing = false;

  /// How a score was made, in the notation of sacreBLEU: "nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no".
  std::string signature(size_t reference_sets) const;
};

/// chrF of a corpus, 0 … 100: F-score of character (and word) n-grams whose counts are summed over the sentences. Of
/// several references a sentence's best one counts.
///
/// references: one vector of lines for each set of references, each as long as `hypotheses`. Throws Error naming both
/// counts when one is not, when there is no set or no sentence, or when the orders are negative or both zero.
/// Popović 2015 (W15-3049), 2017 (W17-4770); edge cases as sacreBLEU.
double corpus_chrf(const std::vector<std::string>& hypotheses, const std::vector<std::vector<std::string>>& references,
                   const ChrfOptions& options = {});

double sentence_chrf(std::string_view hypothesis, const std::vector<std::string>& references,
                     const ChrfOptions& options = {});

}  // namespace heed
