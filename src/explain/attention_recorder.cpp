#include "explain/attention_recorder.h"

#include <fnmatch.h>
#include <heed/attention_inspection.h>

#include <algorithm>
#include <numeric>

namespace heed {

namespace {

/// [heads, rows, keys] with more rows behind those there are.
Tensor with_rows(const Tensor& above, const Tensor& below) {
  const std::int64_t heads = above.shape()[0], first = above.shape()[1], more = below.shape()[1], keys = above.width();
  if (first == 0 || more == 0) return first == 0 ? below : above;
  Tensor both({heads, first + more, keys});
  for (std::int64_t head = 0; head < heads; ++head) {
    float* to = both.floats() + head * (first + more) * keys;
    std::copy_n(above.floats() + head * first * keys, first * keys, to);
    std::copy_n(below.floats() + head * more * keys, more * keys, to + first * keys);
  }
  return both;
}

}  // namespace

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
  if (layers_.empty() || layers_.back().name != name) {
    layers_.push_back(std::move(layer));
    return;
  }
  std::vector<Tensor>& known = layers_.back().sequences;
  if (known.size() != layer.sequences.size())
    throw Error("{} attended in {} sequences and then in {}: clear the recorder between passes", name, known.size(),
                layer.sequences.size());
  for (std::size_t i = 0; i < known.size(); ++i) known[i] = with_rows(known[i], layer.sequences[i]);
}

}  // namespace heed
