#pragma once
#include <heed/attention.h>

#include <cstdint>
#include <string>
#include <utility>

namespace heed {

struct AttentionPlanOptions {
  bool backward = false;  ///< a backward follows: what it cannot take is refused at once
  DType output = DType::float32;
  /// "avx512_bf16", "avx512", "avx2" or "portable"; empty: the one in use (the best, or what HEED_ISA names).
  std::string instruction_set = {};
};

/// How a problem is computed: checked when it is made, and the same way each time. It borrows the memory that the
/// problem points to, whose elements may change from call to call.
class AttentionPlan {
 public:
  /// Throws Error as attention_forward does (with `backward`, as attention_backward), and naming the instruction sets
  /// that there are when asked for another.
  explicit AttentionPlan(AttentionProblem problem, AttentionPlanOptions options = {});

  const AttentionProblem& problem() const { return problem_; }
  const std::string& instruction_set() const { return instruction_set_; }
  /// Pieces of work that threads take: cut by shape alone.
  std::int64_t forward_pieces() const { return forward_pieces_; }
  std::int64_t backward_pieces() const { return backward_pieces_; }
  /// The most scratch memory that one thread takes, in bytes.
  std::int64_t thread_bytes() const { return thread_bytes_; }
  /// Memory that all share during a call: copies that scores are made of, and results of parts of the keys.
  std::int64_t shared_bytes() const { return shared_bytes_; }

  /// As attention_forward and attention_backward, with the plan's instruction set.
  void forward(View output, float* log_sum_exp, ThreadPool& pool) const;
  void backward(View output, const float* log_sum_exp, View doutput, const AttentionGradients& gradients,
                ThreadPool& pool) const;

  /// Lines of plain text: what is computed, on what, which kernel takes which sequences and in what blocks, how the
  /// mask is evaluated, what is not fused, and why.
  std::string explain() const;

 private:
  AttentionProblem problem_;
  AttentionPlanOptions options_;
  std::string instruction_set_;
  std::int64_t forward_pieces_ = 0, backward_pieces_ = 0, thread_bytes_ = 0, shared_bytes_ = 0;
};

inline AttentionPlan plan(AttentionProblem problem, AttentionPlanOptions options = {}) {
  return AttentionPlan(std::move(problem), std::move(options));
}

}  // namespace heed
