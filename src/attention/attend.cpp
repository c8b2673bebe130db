#include "attention/attend.h"

#include "attention/call.h"
#include "attention/decode.h"
#include "attention/problem.h"
#include "attention/schedule.h"
#include "attention/workspace.h"

HEED_DECLARE_KERNELS(attention::Forward, attention_forward_kernel)
HEED_DECLARE_KERNELS(attention::WholeRows, attention_whole_rows_kernel)

namespace heed {

namespace attention {

namespace {

constexpr kernels::Tables<Forward> forward_kernels = HEED_KERNEL_TABLES(attention_forward_kernel);
constexpr kernels::Tables<WholeRows> whole_rows_kernels = HEED_KERNEL_TABLES(attention_whole_rows_kernel);

}  // namespace

void forward(const AttentionProblem& problem, View output, float* log_sum_exp, ThreadPool& pool,
             kernels::InstructionSet set) {
  check_forward(problem, output);
  const Operands operands(problem, pool);
  const Call call(problem, operands, output, log_sum_exp, false, set);
  decode(problem, call, pool, set);
  const bool whole = needs_whole_rows(problem.spec.normaliser);
  const std::vector<Piece> pieces = forward_pieces(problem);
  const std::int64_t width = operands.width() + problem.value_width;
  const std::vector<Share> shares = shares_of(static_cast<std::int64_t>(pieces.size()), [&](std::int64_t i) {
    const Piece& piece = pieces[static_cast<std::size_t>(i)];
    return piece.count * (operands.keys(piece.sequence).count + 16) * width;
  });
  pool.parallel_for(static_cast<std::int64_t>(shares.size()), [&](std::int64_t i) {
    const Share& share = shares[static_cast<std::size_t>(i)];
    for (std::int64_t p = share.begin; p < share.end; ++p) {
      const Piece& piece = pieces[static_cast<std::size_t>(p)];
      const std::int64_t keys = operands.keys(piece.sequence).count;
      const Workspace workspace(forward_floats(problem, piece.count, keys) + call.rule_scratch());
      const Head head = call.head(piece.sequence, piece.head, workspace.floats());
      if (whole) {
        whole_rows_kernels[set].attend(head, piece.begin, piece.count);
        continue;
      }
      Ahead ahead;
      if (const auto next = static_cast<std::size_t>(p) + 1; next < pieces.size())
        add_rows(ahead, call.head(pieces[next].sequence, pieces[next].head, nullptr), pieces[next].begin);
      forward_kernels[set].block(head, piece.begin, piece.count, ahead);
    }
  });
}

}  // namespace attention

void attention_forward(const AttentionProblem& problem, View output, float* log_sum_exp, ThreadPool& pool) {
  attention::forward(problem, output, log_sum_exp, pool, kernels::chosen());
}

void attention_backward(const AttentionProblem& problem, View output, const float* log_sum_exp, View doutput,
                        const AttentionGradients& gradients, ThreadPool& pool) {
  attention::backward(problem, output, log_sum_exp, doutput, gradients, pool, kernels::chosen());
}

}  // namespace heed
