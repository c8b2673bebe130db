#pragma once
#include <heed/attention.h>

#include <cstddef>
#include <vector>

#include "attention/cpu/task.h"

// What computes a problem, and in which pieces: cut by shape alone. attend.cpp and attend_backward.cpp follow it, plans
// tell it.
namespace heed::attention {

enum class ForwardKernel : unsigned char {
  decode,  ///< few queries: keys are cut into parts, whose results are joined
  blocks,  ///< scores of a block of keys at a time
  rows,    ///< all scores of some queries
};
ForwardKernel forward_kernel(const AttentionProblem& problem, const AttentionSequence& sequence);
/// Sparsemax and entmax need all scores of a query before they weigh any.
bool needs_whole_rows(Normaliser normaliser);
/// The same two: what is subtracted from the gradient of each weight is not the sum that the output tells, so that the
/// backward goes over the keys for it first.
bool averages_first(Normaliser normaliser);

/// Some queries of one head.
struct Piece {
  std::size_t sequence;
  int head;
  std::int64_t begin;
  int count;
};

/// The most queries that one piece of the forward takes.
int forward_queries(const AttentionProblem& problem);
/// Keys that the forward works on at a time.
int forward_keys(const AttentionProblem& problem);
/// Of all sequences but those that are decoded.
std::vector<Piece> forward_pieces(const AttentionProblem& problem);
/// Floats of scratch of a forward piece of `count` queries, besides the rules'.
std::int64_t forward_floats(const AttentionProblem& problem, std::int64_t count, std::int64_t keys);

/// The pieces of a backward in the order in which they are begun. Pieces of one chain add to the same gradients.
struct BackwardSteps {
  struct Step {
    Piece piece;
    std::size_t chain;
    std::ptrdiff_t before;  ///< the step before in the chain, or −1
    bool first;             ///< of its keys
  };
  std::vector<Step> steps;
  std::size_t chains = 0;
  bool serial = false;  ///< a chain's pieces wait for the whole of the one before, not block by block

  /// `bias`: its gradient is wanted; `learned`: that of slopes, relative biases, a direction or parameters.
  BackwardSteps(const AttentionProblem& problem, bool bias, bool learned);
};

}  // namespace heed::attention
