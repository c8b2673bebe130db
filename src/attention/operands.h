#pragma once
#include <heed/attention.h>

#include <vector>

namespace heed::attention {

/// Queries and keys as kernels see them, who know products alone (and, of additive scores, sums): bilinear queries
/// multiplied by W, cosine's divided by their norms, and the squared norms that turn products into distances. Where a
/// score needs nothing of this, the problem's own memory.
class Operands {
 public:
  Operands(const AttentionProblem& problem, ThreadPool& pool);

  struct Keys {
    const std::vector<KeyValueSpan>* spans;  ///< of the prefix and the sequence, with the values where they were
    std::int64_t count;
    std::int64_t stride;
    DType dtype;
  };
  const View& query() const { return query_; }
  int width() const { return width_; }
  float scale() const { return scale_; }
  Keys keys(std::size_t sequence) const;
  std::int64_t bytes() const;  ///< of memory of its own
  /// Of one head of one sequence; null: no such term.
  const float* query_term(std::size_t sequence, int head) const;
  const float* key_term(std::size_t sequence, int key_value_head) const;

  /// Where kernels write gradients of what they saw: the caller's, or memory of its own, from which finish_backward
  /// makes the caller's.
  struct Gradients {
    View query, key;  ///< key rows as AttentionSequence::key_begin counts
    bool add_query = false, add_key = false;
    Tensor query_memory, key_memory;
    Tensor query_terms, key_terms;  ///< [heads, query rows], [heads, key rows]: of each query head by itself
  };
  Gradients begin_backward(const AttentionGradients& gradients) const;
  void finish_backward(const AttentionGradients& gradients, const Gradients& own, ThreadPool& pool) const;

 private:
  void place_prefixes();

  const AttentionProblem& problem_;
  View query_;
  int width_;
  float scale_;
  std::int64_t key_rows_ = 0;
  Tensor query_memory_, key_memory_;  ///< [query rows, heads·width], [key rows, key_value_heads·width], float32
  Tensor query_norms_, key_norms_;    ///< [heads, query rows], [key_value_heads, key rows]: norms, or the terms
  std::vector<std::vector<KeyValueSpan>> spans_;  ///< empty: each sequence's own
  std::vector<std::int64_t> prefix_counts_;       ///< empty: there are no prefixes
  std::vector<std::int64_t> first_key_;           ///< row of each sequence's first key in key_memory_
};

}  // namespace heed::attention
