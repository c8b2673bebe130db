#pragma once
#include <heed/pass.h>

#include <string>
#include <vector>

namespace heed {

/// Keeps the exact attention weights of chosen layers of the passes it is given to (PassOptions::probe). The pass
/// itself computes what it always does; the weights are computed beside it, in memory of their own: 4 bytes for each
/// head, query and key.
class AttentionRecorder : public Probe {
 public:
  struct Layer {
    std::string name;               ///< such as "decoder.layers.1.cross"
    std::vector<int> heads;         ///< which heads, in the order of the weights
    std::vector<Tensor> sequences;  ///< for each sequence of the pass [heads, queries, keys], float32; rows sum to 1
  };

  /// `layers`: a pattern of names as in a shell, such as "decoder.layers.*.cross"; `heads`: which, or empty for all.
  explicit AttentionRecorder(std::string layers = "*", std::vector<int> heads = {});

  /// Throws Error when the layer has not the heads that are asked for.
  void attention(const std::string& name, const AttentionProblem& problem, ThreadPool& pool) override;

  /// In the order in which the pass came to them. A layer that attends again and again, as a decoder does that goes
  /// step by step, is one layer with the rows of all steps; `clear` before another pass.
  const std::vector<Layer>& layers() const { return layers_; }
  void clear() { layers_.clear(); }

 private:
  std::string pattern_;
  std::vector<int> heads_;
  std::vector<Layer> layers_;
};

}  // namespace heed
