#include "decode/source_attention.h"

#include <heed/attention_inspection.h>

namespace heed {

void SourceAttention::attention(const std::string& name, const AttentionProblem& problem, ThreadPool& pool) {
  if (!name.ends_with("cross")) return;
  weights_.resize(problem.sequences.size());
  for (std::size_t i = 0; i < problem.sequences.size(); ++i) {
    const std::int64_t queries = problem.sequences[i].query_count;
    if (queries == 0) continue;
    const Tensor weights = attention_weights(problem, {.sequence = i, .begin = queries - 1, .count = 1}, pool);
    const std::int64_t heads = weights.shape()[0], keys = weights.width();
    weights_[i].assign(static_cast<std::size_t>(keys), 0.0f);
    for (std::int64_t h = 0; h < heads; ++h)
      for (std::int64_t j = 0; j < keys; ++j)
        weights_[i][static_cast<std::size_t>(j)] += weights.floats()[h * keys + j] / static_cast<float>(heads);
  }
}

const std::vector<float>& SourceAttention::weights(std::size_t sequence) const {
  if (sequence >= weights_.size())
    throw Error("a coverage penalty needs a model that attends to its source; set generation.coverage_penalty = 0");
  return weights_[sequence];
}

}  // namespace heed
