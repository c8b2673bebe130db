#pragma once
#include <heed/attention_inspection.h>

#include <vector>

#include "attention/call.h"

namespace heed::attention {

/// Rows of weights, made some at a time for whoever wants to see them.
class Look {
 public:
  /// Throws Error, which begins with `what`, when the problem has not what is looked at. `problem` must outlive it.
  Look(std::string_view what, const AttentionProblem& problem, const AttentionLook& look, ThreadPool& pool);

  const std::vector<int>& heads() const { return heads_; }
  std::int64_t rows() const { return static_cast<std::int64_t>(rows_.size()); }
  std::int64_t keys() const { return keys_; }
  /// Which query the row-th is, counted from the sequence's first, and its position.
  std::int64_t query(std::int64_t row) const { return rows_[static_cast<std::size_t>(row)]; }
  std::int64_t position(std::int64_t row) const;

  /// Neighbouring queries, as many as are made at once: rows [row, row + count) of what is looked at.
  struct Block {
    std::int64_t row;
    int count;
  };
  const std::vector<Block>& blocks() const { return blocks_; }
  /// Weights, or with `raw` scores, of one head (by its place in heads()), rows `stride` floats apart.
  void show(const Block& block, std::size_t head, float* weights, std::int64_t stride, bool raw = false) const;

  /// f(head's place, block, weights, stride) for each head and block of rows, by several threads.
  template <class Function>
  void each(ThreadPool& pool, Function f) const {
    const auto count = static_cast<std::int64_t>(blocks_.size());
    pool.parallel_for(static_cast<std::int64_t>(heads_.size()) * count, [&](std::int64_t i) {
      const Block& block = blocks_[static_cast<std::size_t>(i % count)];
      const auto head = static_cast<std::size_t>(i / count);
      const Tensor weights({block.count, keys_});
      show(block, head, weights.floats(), keys_);
      f(head, block, weights.floats(), keys_);
    });
  }

 private:
  const AttentionProblem& problem_;
  std::size_t sequence_;
  std::vector<int> heads_;
  std::vector<std::int64_t> rows_;
  std::vector<Block> blocks_;
  std::int64_t keys_ = 0;
  Operands operands_;
  View nowhere_;
  Call call_;
};

}  // namespace heed::attention
