#pragma once
#include <heed/random.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace sentencepiece {
class SentencePieceProcessor;
}

namespace heed {

// SentencePiece samples too, but from one generator a thread, seeded at the thread's first draw: what an example gives
// would depend on those encoded before it. Here each is a function of its key, so a resumed run draws the same.

/// BPE dropout, word by word: at each step each merge that is open is dropped with probability `rate` and the best of
/// the rest is made, until none is left. Provilkov et al. 2020 (arXiv:1910.13267), algorithm 1; SentencePiece drops a
/// merge for good, which splits more at the same rate. Rate 0 gives BPE's own segmentation, 1 gives characters.
std::vector<std::int32_t> drop_merges(const sentencepiece::SentencePieceProcessor& model,
                                      std::span<const std::int32_t> ids, double rate, RandomKey key);

/// What sampling needs to know of all pieces of a unigram model.
struct UnigramBounds {
  std::size_t longest = 0;  ///< bytes of the longest piece
  double unknown = 0;       ///< log-probability of a character without a piece: SentencePiece's, 10 below the lowest
};
UnigramBounds unigram_bounds(const sentencepiece::SentencePieceProcessor& model);

/// A segmentation drawn with probability ∝ (its probability under the unigram model)^alpha, by forward filtering and
/// backward sampling. Kudo 2018 (arXiv:1804.10959), section 3.2 with l = ∞.
std::vector<std::int32_t> sample_unigram(const sentencepiece::SentencePieceProcessor& model,
                                         const UnigramBounds& bounds, std::span<const std::int32_t> ids, double alpha,
                                         RandomKey key);

}  // namespace heed
