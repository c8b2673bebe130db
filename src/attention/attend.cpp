#include "attention/attend.h"

#include <algorithm>

#include "attention/call.h"
#include "attention/cpu/scratch.h"
#include "attention/decode.h"
#include "attention/problem.h"
#include "attention/workspace.h"

HEED_DECLARE_KERNELS(attention::Forward, attention_forward_kernel)
HEED_DECLARE_KERNELS(attention::WholeRows, attention_whole_rows_kernel)

namespace heed {

namespace attention {

namespace {

constexpr kernels::Tables<Forward> forward_kernels = HEED_KERNEL_TABLES(attention_forward_kernel);
constexpr kernels::Tables<WholeRows> whole_rows_kernels = HEED_KERNEL_TABLES(attention_whole_rows_kernel);

bool needs_whole_rows(const AttentionProblem& problem) {
  return problem.spec.normaliser == Normaliser::sparsemax || problem.spec.normaliser == Normaliser::entmax15;
}

/// Some queries of one head.
struct Piece {
  std::size_t sequence;
  int head;
  std::int64_t begin;
  int count;
};

/// Long pieces pack keys for many queries; but every processor of a large machine wants some.
int forward_queries(const AttentionProblem& problem) {
  if (needs_whole_rows(problem)) return whole_rows;
  std::int64_t queries = 0;
  for (const AttentionSequence& sequence : problem.sequences) queries += sequence.query_count;
  for (int size = problem.head_width + problem.value_width > 160 ? query_task / 2 : query_task; size > 60; size /= 2)
    if (queries * problem.heads / size >= 24) return size;
  return 60;
}

std::vector<Piece> forward_pieces(const AttentionProblem& problem) {
  const int most = forward_queries(problem);
  std::vector<Piece> pieces;
  for (std::size_t s = 0; s < problem.sequences.size(); ++s)
    for (int head = 0; head < problem.heads && !is_decoded(problem, problem.sequences[s]); ++head)
      for (std::int64_t begin = 0; begin < problem.sequences[s].query_count; begin += most)
        pieces.push_back(
            {s, head, begin, static_cast<int>(std::min<std::int64_t>(most, problem.sequences[s].query_count - begin))});
  return pieces;
}

}  // namespace

void forward(const AttentionProblem& problem, View output, float* log_sum_exp, ThreadPool& pool,
             kernels::InstructionSet set) {
  check_forward(problem, output);
  const Operands operands(problem, pool);
  const Call call(problem, operands, output, log_sum_exp, false, set);
  decode(problem, call, pool, set);
  const bool whole = needs_whole_rows(problem);
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
      const Workspace workspace((whole ? whole_rows_scratch(operands.width(), problem.value_width, piece.count, keys)
                                       : forward_scratch(operands.width(), problem.value_width, piece.count)) +
                                call.rule_scratch());
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
