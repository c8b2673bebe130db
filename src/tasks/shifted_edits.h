#pragma once
#include <cstdint>
#include <vector>

namespace heed {

/// The least number of edits and block shifts Tercom's greedy search finds to make `hypothesis` into `reference`;
/// words are numbers. See corpus_ter for the search's limits.
int64_t shifted_edits(std::vector<uint32_t> hypothesis, const std::vector<uint32_t>& reference);

}  // namespace heed
