#pragma once
#include <string>
#include <vector>

#include "tasks/evaluate.h"

namespace heed {

/// A word of an answer and the word of its source that the model looked at most while writing it.
struct AlignedWord {
  std::string word, source;
  double weight = 0.0;  ///< how much, in [0, 1]
};

/// Runs the model once over a source and what it has written to it (with the end, if that is looked at), for a probe to
/// see: row t of an attention is what was looked at when token t was written.
void read_again(const Evaluation& with, const std::vector<std::int32_t>& source,
                const std::vector<std::int32_t>& written, Probe& probe);

/// Of a translation or summary: what the attention over the source says, in the last layer but one where there are
/// several (Garg et al. 2019, arXiv:1909.02074, section 4.1), as the mean over its heads. A word of several tokens has
/// the mean of theirs, and looks at all tokens of a word of the source together. Empty for an empty answer.
std::vector<AlignedWord> align_words(const Evaluation& with, const std::string& source,
                                     const std::vector<std::int32_t>& answer);

}  // namespace heed
