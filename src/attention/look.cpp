#include "attention/look.h"

#include <numeric>

#include "attention/cpu/scratch.h"
#include "attention/problem.h"
#include "attention/workspace.h"

HEED_DECLARE_KERNELS(attention::WholeRows, attention_whole_rows_kernel)

namespace heed::attention {

namespace {

constexpr kernels::Tables<WholeRows> look_kernels = HEED_KERNEL_TABLES(attention_whole_rows_kernel);

const AttentionProblem& checked(std::string_view what, const AttentionProblem& problem, const AttentionLook& look) {
  check(problem);
  if (look.sequence >= problem.sequences.size())
    throw Error("{}: sequence {} of a problem with {}", what, look.sequence, problem.sequences.size());
  for (const int head : look.heads)
    if (head < 0 || head >= problem.heads)
      throw Error("{}: head {} of a problem with heads 0 to {}", what, head, problem.heads - 1);
  const std::int64_t queries = problem.sequences[look.sequence].query_count;
  for (const std::int64_t row : look.rows)
    if (row < 0 || row >= queries)
      throw Error("{}: row {} of sequence {}, which has {} queries", what, row, look.sequence, queries);
  if (look.begin < 0 || look.begin > queries || look.count < -1 || look.count > queries - look.begin)
    throw Error("{}: {} rows from {} on of sequence {}, which has {} queries", what, look.count, look.begin,
                look.sequence, queries);
  return problem;
}

std::vector<int> heads_of(const AttentionProblem& problem, const AttentionLook& look) {
  if (!look.heads.empty()) return look.heads;
  std::vector<int> all(static_cast<std::size_t>(problem.heads));
  std::iota(all.begin(), all.end(), 0);
  return all;
}

std::vector<std::int64_t> rows_of(const AttentionProblem& problem, const AttentionLook& look) {
  if (!look.rows.empty()) return look.rows;
  const std::int64_t rest = problem.sequences[look.sequence].query_count - look.begin;
  std::vector<std::int64_t> rows(static_cast<std::size_t>(look.count < 0 ? rest : look.count));
  std::iota(rows.begin(), rows.end(), look.begin);
  return rows;
}

}  // namespace

Look::Look(std::string_view what, const AttentionProblem& problem, const AttentionLook& look, ThreadPool& pool)
    : problem_(checked(what, problem, look)),
      sequence_(look.sequence),
      heads_(heads_of(problem, look)),
      rows_(rows_of(problem, look)),
      keys_(key_count_of(problem, look.sequence)),
      operands_(problem, pool),
      call_(problem, operands_, nowhere_, nullptr, false, kernels::chosen()) {
  for (std::int64_t row = 0; row < rows(); ++row) {
    const auto place = static_cast<std::size_t>(row);
    const bool follows = row > 0 && rows_[place] == rows_[place - 1] + 1 && blocks_.back().count < whole_rows;
    if (follows)
      ++blocks_.back().count;
    else
      blocks_.push_back({row, 1});
  }
}

std::int64_t Look::position(std::int64_t row) const {
  return problem_.sequences[sequence_].query_position + query(row);
}

void Look::show(const Block& block, std::size_t head, float* weights, std::int64_t stride, bool raw) const {
  const Workspace workspace(whole_rows_scratch(operands_.width(), problem_.value_width, block.count, keys_) +
                            call_.rule_scratch());
  const Head seen = call_.head(sequence_, heads_[head], workspace.floats());
  look_kernels[kernels::chosen()].show(seen, query(block.row), block.count, weights, stride, raw);
}

}  // namespace heed::attention
