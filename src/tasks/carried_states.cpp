#include "tasks/carried_states.h"

#include <heed/error.h>

#include <algorithm>

namespace heed {

namespace {

/// What a layer holds at the state's length.
const Tensor& value_of(const State& state, std::size_t slot) {
  const auto& kept = state.slots[slot].recurrent;
  return kept[kept[0].length == state.length ? 0 : 1].value;
}

std::string name_of_slot(std::size_t slot) { return "state." + std::to_string(slot); }

}  // namespace

CarriedStates::CarriedStates(const Model& model, std::int64_t streams)
    : slots_(model.slots()), states_(static_cast<std::size_t>(streams), State(slots_)) {}

void CarriedStates::restart() {
  for (State& state : states_) state = State(slots_);
}

std::vector<State*> CarriedStates::of_pass() {
  std::vector<State*> pointers;
  for (State& state : states_) pointers.push_back(&state);
  return pointers;
}

void CarriedStates::advance(const std::vector<std::int64_t>& offsets) {
  for (std::size_t i = 0; i < states_.size(); ++i) states_[i].length += offsets[i + 1] - offsets[i];
}

NamedTensors CarriedStates::tensors() const {
  NamedTensors tensors;
  if (states_.empty() || states_[0].length == 0) return tensors;
  for (std::size_t slot = 0; slot < static_cast<std::size_t>(slots_); ++slot) {
    const std::int64_t width = value_of(states_[0], slot).elements();
    Tensor all({static_cast<std::int64_t>(states_.size()), width});
    float* to = all.floats();
    for (const State& state : states_) to = std::copy_n(value_of(state, slot).floats(), width, to);
    tensors.emplace_back(name_of_slot(slot), all);
  }
  return tensors;
}

void CarriedStates::restore(const SafetensorsReader& file) {
  restart();
  const auto streams = static_cast<std::int64_t>(states_.size());
  if (streams == 0 || !file.has(name_of_slot(0))) return;
  for (State& state : states_) state.length = 1;  // that it is not 0 is all that counts
  for (std::size_t slot = 0; slot < static_cast<std::size_t>(slots_); ++slot) {
    const Tensor all = file.tensor(name_of_slot(slot));
    if (all.shape().rank() != 2 || all.shape()[0] != streams || all.dtype() != DType::float32)
      throw Error("{}: {} is {}; {} streams of text need [{}, state width]: the checkpoint is of another training",
                  file.name(), name_of_slot(slot), all.shape(), streams, streams);
    for (std::int64_t i = 0; i < streams; ++i) {
      auto& kept = states_[static_cast<std::size_t>(i)].slots[slot].recurrent[0];
      kept.value = Tensor({all.width()});
      std::copy_n(all.floats() + i * all.width(), all.width(), kept.value.floats());
      kept.length = 1;
    }
  }
}

}  // namespace heed
