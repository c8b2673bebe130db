#pragma once
#include <memory>

#include "text/vocabulary.h"
#include "text/vocabulary_file.h"

namespace heed {

/// Trains subwords by SentencePiece (Kudo & Richardson 2018, arXiv:1808.06226): byte-pair encoding (Sennrich et al.
/// 2016, arXiv:1508.07909) or a unigram model (Kudo 2018), the same one in every run.
///
/// Of texts beyond 512 MB evenly spread lines are used, so memory has a bound. With normalisation "identity" a text of
/// known characters comes back as it was, spaces included; the other rules fold what they fold, and runs of spaces.
/// Throws Error for no text, a size that cannot hold the characters, and unknown names of algorithm or normalisation.
std::shared_ptr<const Vocabulary> train_subwords(const VocabularyConfig& config, const NextText& next);
std::shared_ptr<const Vocabulary> subwords_from(VocabularyFile contents);

}  // namespace heed
