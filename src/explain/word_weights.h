#pragma once
#include <string>
#include <vector>

#include "tasks/evaluate.h"

namespace heed {

/// How much a word counted.
struct WordWeight {
  std::string word;
  double weight = 0.0;
};

/// For each text the words that a classifier's pooling by attention weighed, in order: weights are means over heads and
/// queries, pieces of a word added up, and sum to 1 with the begin token's ("<s>"). Empty lists where the model pools
/// otherwise. texts: ids as TextEncoder::input gives them.
std::vector<std::vector<WordWeight>> pooling_weights(const Evaluation& with,
                                                     const std::vector<std::vector<std::int32_t>>& texts);

}  // namespace heed
