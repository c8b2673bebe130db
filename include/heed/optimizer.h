#pragma once
#include <heed/pass.h>
#include <heed/training_config.h>

#include <string>
#include <utility>
#include <vector>

namespace heed {

class SafetensorsReader;  // of a checkpoint
using NamedTensors = std::vector<std::pair<std::string, Tensor>>;

/// Turns gradients into new weights: AdamW, Adam or SGD. Owns the moments, laid out like the gradients' buffer. Weights
/// of two or more dimensions decay, biases and norms do not.
class Optimizer {
 public:
  Optimizer(const TrainingConfig& config, std::vector<std::pair<std::string, Weight>> trained);
  /// One step; gradients are multiplied by `gradient_scale` first.
  void step(const WeightGradients& gradients, double rate, double gradient_scale, ThreadPool& pool);

  std::int64_t steps() const { return steps_; }
  const std::vector<std::pair<std::string, Weight>>& trained() const { return trained_; }
  /// The moments by weight, for a checkpoint: "first.<name>", "second.<name>".
  NamedTensors state() const;
  /// Takes moments back. Throws Error naming what is missing or of another shape.
  void restore(const SafetensorsReader& file, std::int64_t steps);

 private:
  TrainingConfig config_;
  std::vector<std::pair<std::string, Weight>> trained_;
  std::vector<Tensor> first_, second_;
  std::int64_t steps_ = 0;
};

}  // namespace heed
