#include "explain/attention_recorder.h"

#include <fnmatch.h>
#include <heed/attention_inspection.h>

#include <numeric>

namespace heed {

AttentionRecorder::AttentionRecorder(std::string layers, std::vector<int> heads)
    : pattern_(std::move(layers)), heads_(std::move(heads)) {}

void AttentionRecorder::attention(const std::string& name, const AttentionProblem& problem, ThreadPool& pool) {
  if (fnmatch(pattern_.c_str(), name.c_str(), 0) != 0) return;
  Layer layer{name, heads_, {}};
  if (layer.heads.empty()) {
    layer.heads.resize(static_cast<std::size_t>(problem.heads));
    std::iota(layer.heads.begin(), layer.heads.end(), 0);
  }
  for (const int head : layer.heads)
    if (head < 0 || head >= problem.heads)
      throw Error("{} has no head {}: its heads are 0 to {}", name, head, problem.heads - 1);
  for (std::size_t sequence = 0; sequence < problem.sequences.size(); ++sequence)
    layer.sequences.push_back(attention_weights(problem, {.sequence = sequence, .heads = layer.heads}, pool));
  layers_.push_back(std::move(layer));
}

}  // namespace heed
