#pragma once
#include <heed/pass.h>

namespace heed {

/// What the last token of each sequence looked at in the source, in the pass it is a probe of: the mean over the heads
/// of the last attention layer whose name ends in "cross".
class SourceAttention : public Probe {
 public:
  void attention(const std::string& name, const AttentionProblem& problem, ThreadPool& pool) override;
  /// One weight for each source token. Throws Error for a model without such a layer.
  const std::vector<float>& weights(std::size_t sequence) const;

 private:
  std::vector<std::vector<float>> weights_;
};

}  // namespace heed
