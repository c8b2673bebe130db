#pragma once
#include <vector>

namespace heed {

/// Costs of one candidate, lower is better each.
using Costs = std::vector<double>;

/// No worse in everything and better in something.
bool dominates(const Costs& a, const Costs& b);

/// 0 for the Pareto front, 1 for the front without it, and so on (non-dominated sorting: Goldberg 1989). All candidates
/// have the same number of costs.
std::vector<int> domination_ranks(const std::vector<Costs>& candidates);

/// Places of the candidates from the best to the worst: by domination rank, then by the first cost, then as they stand.
std::vector<std::size_t> from_the_best(const std::vector<Costs>& candidates);

}  // namespace heed
