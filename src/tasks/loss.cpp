#include "tasks/loss.h"

namespace heed {

SequencesPointer sequences_of(const std::vector<std::int64_t>& offsets) {
  auto sequences = std::make_shared<Sequences>();
  sequences->offsets = offsets;
  return sequences;
}

Var answer_scores(const Model& model, Pass& pass, const PackedBatch& batch) {
  const Var hidden = model.encode_pair(pass, {batch.source, sequences_of(batch.source_offsets)},
                                       {batch.target_input, sequences_of(batch.target_offsets)});
  return linear(hidden, model.output_weight(pass), model.output_bias(pass));
}

Loss batch_loss(Task task, const Model& model, Pass& pass, const PackedBatch& batch, float label_smoothing,
                std::span<const float> class_weights) {
  if (task == Task::question_answering)
    return position_cross_entropy(answer_scores(model, pass, batch), {batch.answers_first, batch.answers_last});
  Var hidden;
  std::span<const std::int32_t> targets = batch.target_output;
  if (task == Task::classification) {
    hidden = model.summarise(model.encode(pass, {batch.source, sequences_of(batch.source_offsets)}));
    targets = batch.labels;
  } else {
    Var memory;
    if (makes_text_from_text(task)) memory = model.encode(pass, {batch.source, sequences_of(batch.source_offsets)});
    hidden = model.decode(pass, {batch.target_input, sequences_of(batch.target_offsets)}, memory);
  }
  std::vector<float> row_weights;
  if (task == Task::classification && !class_weights.empty())
    for (const std::int32_t label : targets) row_weights.push_back(class_weights[static_cast<std::size_t>(label)]);
  return cross_entropy(hidden, model.output_weight(pass), model.output_bias(pass), targets, label_smoothing,
                       row_weights);
}

}  // namespace heed
