#include "tasks/loss.h"

namespace heed {

SequencesPointer sequences_of(const std::vector<std::int64_t>& offsets) {
  auto sequences = std::make_shared<Sequences>();
  sequences->offsets = offsets;
  return sequences;
}

Loss batch_loss(Task task, const Model& model, Pass& pass, const PackedBatch& batch,
                float label_smoothing) {
  Var hidden;
  std::span<const std::int32_t> targets = batch.target_output;
  if (task == Task::classification) {
    hidden = model.summarise(model.encode(pass, {batch.source, sequences_of(batch.source_offsets)}));
    targets = batch.labels;
  } else {
    Var memory;
    if (task == Task::translation) memory = model.encode(pass, {batch.source, sequences_of(batch.source_offsets)});
    hidden = model.decode(pass, {batch.target_input, sequences_of(batch.target_offsets)}, memory);
  }
  return cross_entropy(hidden, model.output_weight(pass), model.output_bias(pass), targets, label_smoothing);
}

}  // namespace heed
