#pragma once
#include <heed/model.h>

#include <memory>
#include <vector>

#include "formats/safetensors.h"

namespace heed {

/// The states of a recurrent model that parallel streams of text hand from one pass to the next, without gradients
/// (truncated back-propagation through time).
class CarriedStates {
 public:
  /// `streams` 0: there are none, and passes run without.
  CarriedStates(const Model& model, std::int64_t streams);
  /// All streams start at zero again.
  void restart();
  /// What a pass is given, one for each stream.
  std::vector<State*> of_pass();
  /// After a pass has succeeded: sequence i of its batch had the tokens from offsets[i] up to offsets[i + 1].
  void advance(const std::vector<std::int64_t>& offsets);

  /// "state.0", … of each layer: [streams, state width]; none before the first pass after a restart.
  NamedTensors tensors() const;
  /// Puts back what a file has of them; what it lacks starts at zero. Throws Error for other shapes.
  void restore(const SafetensorsReader& file);

 private:
  int slots_;
  std::vector<State> states_;
};

}  // namespace heed
