#pragma once
#include <heed/attention.h>

#include <cstdint>
#include <span>
#include <vector>

namespace heed {

/// What is looked at: some heads and queries of one sequence of a problem. Everything below is computed beside the
/// attention itself, some rows at a time, in memory linear in length besides what is asked for, and gives the same bits
/// for any number of threads. Weights are those before dropout.
struct AttentionLook {
  std::size_t sequence = 0;
  std::vector<int> heads = {};  ///< in this order; empty: all
  /// Queries [begin, begin + count), counted from the sequence's first in the call; −1: to the last.
  std::int64_t begin = 0, count = -1;
  std::vector<std::int64_t> rows = {};  ///< these queries instead, in this order, where not empty
};

/// The exact weights, [heads, rows, keys], float32; keys are those of the sequence behind those of its shared prefix.
/// Throws Error naming a sequence, head or row that the problem has not, and so all below.
Tensor attention_weights(const AttentionProblem& problem, const AttentionLook& look, ThreadPool& pool);
/// The scores that the weights are made of, [heads, rows, keys]; −∞ where the mask forbids.
Tensor attention_scores(const AttentionProblem& problem, const AttentionLook& look, ThreadPool& pool);

/// The largest weights of each row, the largest first; of equal ones the lower position first. Weights of 0 are not
/// listed: where a row has fewer than were asked for, the rest are weights of 0 at position −1.
struct LargestWeights {
  Tensor weights;    ///< [heads, rows, most], float32
  Tensor positions;  ///< [heads, rows, most], int32: of the key
};
LargestWeights largest_weights(const AttentionProblem& problem, const AttentionLook& look, std::int64_t most,
                               ThreadPool& pool);

/// How widely each head looks, and how far. A row's weights are taken as probabilities: divided by their sum, which is
/// 1 but under sigmoid and where a sink takes its share. Rows without any weight have 0 of both and do not count in the
/// means.
struct AttentionStatistics {
  std::vector<double> entropy;       ///< of each head, the mean over rows of −Σ p·ln p, in nats
  std::vector<double> distance;      ///< of each head, the mean over rows of Σ p·|query − key|, in positions
  Tensor row_entropy, row_distance;  ///< [heads, rows], float32; empty unless asked for
};
AttentionStatistics attention_statistics(const AttentionProblem& problem, const AttentionLook& look, ThreadPool& pool,
                                         bool of_rows = false);

struct RolloutOptions {
  std::size_t sequence = 0;
  float identity = 0.5f;  ///< λ, the share that the residual connection carries past a layer, in [0, 1]
  /// Rows of the product, as in AttentionLook.
  std::int64_t begin = 0, count = -1;
  std::vector<std::int64_t> rows = {};
};

/// Attention rollout (Abnar & Zuidema 2020, arXiv:2005.00928, section 3): rows of A(L)·…·A(1), where a layer's A is
/// (1 − λ) · the mean of its heads' weights + λ · the identity. Element [i, j] says how much of input j reaches the
/// output at rows[i]. [rows, length], float32; rows sum to 1 (under sigmoid and sinks, heads' rows are divided by their
/// sums; a row without any weight is the identity's share alone).
///
/// `layers`: the problems of a model's layers, the first layer first, each of as many keys as queries. Beside the
/// result, 1024 rows of its width are held at most.
Tensor attention_rollout(std::span<const AttentionProblem> layers, const RolloutOptions& options, ThreadPool& pool);

}  // namespace heed
