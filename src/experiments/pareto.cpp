#include "experiments/pareto.h"

#include <algorithm>
#include <numeric>

namespace heed {

bool dominates(const Costs& a, const Costs& b) {
  bool better = false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (a[i] > b[i]) return false;
    better = better || a[i] < b[i];
  }
  return better;
}

std::vector<int> domination_ranks(const std::vector<Costs>& candidates) {
  std::vector<int> ranks(candidates.size(), -1);
  std::size_t ranked = 0;
  for (int rank = 0; ranked < candidates.size(); ++rank) {
    std::vector<std::size_t> front;
    for (std::size_t i = 0; i < candidates.size(); ++i) {
      if (ranks[i] >= 0) continue;
      bool dominated = false;
      for (std::size_t j = 0; !dominated && j < candidates.size(); ++j)
        dominated = ranks[j] < 0 && dominates(candidates[j], candidates[i]);
      if (!dominated) front.push_back(i);
    }
    for (const std::size_t i : front) ranks[i] = rank;
    ranked += front.size();
  }
  return ranks;
}

std::vector<std::size_t> from_the_best(const std::vector<Costs>& candidates) {
  const std::vector<int> ranks = domination_ranks(candidates);
  std::vector<std::size_t> order(candidates.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return ranks[a] != ranks[b] ? ranks[a] < ranks[b] : candidates[a].front() < candidates[b].front();
  });
  return order;
}

}  // namespace heed
