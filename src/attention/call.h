#pragma once
#include <heed/attention.h>

#include <memory>
#include <optional>
#include <vector>

#include "attention/cpu/task.h"
#include "attention/operands.h"
#include "attention/program.h"
#include "kernels/dispatch.h"

namespace heed::attention {

/// What the heads of one call have in common, and the making of each.
class Call {
 public:
  /// `problem` and `operands` must outlive the call.
  Call(const AttentionProblem& problem, const Operands& operands, const View& output, float* log_sum_exp, bool backward,
       kernels::InstructionSet set);
  Head head(std::size_t sequence, int number, float* scratch) const;
  std::int64_t rule_scratch() const { return rules_ ? rules_->program().scratch : 0; }

  /// Where element (row, column) of a view lies.
  static void* place(const View& view, std::int64_t row, std::int64_t column);

 private:
  const AttentionProblem& problem_;
  const Operands& operands_;
  const View& output_;
  float* log_sum_exp_;
  std::optional<Bands> bands_;
  std::unique_ptr<Rules> rules_;
  const RuleKernels* kernels_;
};

/// Adds to `ahead` what every piece reads of a head: queries from `begin` on, keys and values, and where it writes.
void add_rows(Ahead& ahead, const Head& head, std::int64_t begin);

/// Consecutive units of work that one thread does together.
struct Share {
  std::int64_t begin, end;
};

/// Cuts `count` units into shares of at least some ten microseconds, by shape alone. cost(unit) in multiply-adds.
template <class Cost>
std::vector<Share> shares_of(std::int64_t count, Cost cost) {
  constexpr std::int64_t least = 500'000;
  std::vector<Share> shares;
  std::int64_t sum = 0, begin = 0;
  for (std::int64_t unit = 0; unit < count; ++unit) {
    sum += cost(unit);
    if (sum < least && unit + 1 < count) continue;
    shares.push_back({begin, unit + 1});
    begin = unit + 1;
    sum = 0;
  }
  return shares;
}

}  // namespace heed::attention
