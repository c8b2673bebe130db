#include "explain/attention_recorder.h"

#include <fnmatch.h>

#include <algorithm>
#include <numeric>

namespace heed {

AttentionRecorder::AttentionRecorder(std::string layers, std::vector<int> heads)
    : pattern_(std::move(layers)), heads_(std::move(heads)) {}

void AttentionRecorder::attention(const std::string& name, const AttentionProblem& problem) {
  if (fnmatch(pattern_.c_str(), name.c_str(), 0) != 0) return;
  Layer layer{name, heads_, {}};
  if (layer.heads.empty()) {
    layer.heads.resize(static_cast<std::size_t>(problem.heads));
    std::iota(layer.heads.begin(), layer.heads.end(), 0);
  }
  for (const int head : layer.heads)
    if (head < 0 || head >= problem.heads)
      throw Error("{} has no head {}: its heads are 0 to {}", name, head, problem.heads - 1);
  for (std::size_t sequence = 0; sequence < problem.sequences.size(); ++sequence) {
    const AttentionSequence& lengths = problem.sequences[sequence];
    Tensor weights({static_cast<std::int64_t>(layer.heads.size()), lengths.query_count, lengths.key_count});
    float* next = weights.floats();
    for (const int head : layer.heads) {
      const Tensor one = attention_weights(problem, sequence, head);
      next = std::copy_n(one.floats(), one.elements(), next);
    }
    layer.sequences.push_back(std::move(weights));
  }
  layers_.push_back(std::move(layer));
}

}  // namespace heed
