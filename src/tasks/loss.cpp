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
                std::span<const float> class_weights, std::int64_t softmax_samples) {
  if (task == Task::question_answering)
    return position_cross_entropy(answer_scores(model, pass, batch), {batch.answers_first, batch.answers_last});
  Var hidden;
  Targets targets{
      .ids = batch.target_output, .label_smoothing = label_smoothing, .row_weights = {}, .source = {}, .memory = {}};
  if (task == Task::classification) {
    hidden = model.summarise(model.encode(pass, {batch.source, sequences_of(batch.source_offsets)}));
    targets.ids = batch.labels;
  } else {
    if (makes_text_from_text(task)) {
      targets.source = {batch.source, sequences_of(batch.source_offsets)};
      targets.memory = model.encode(pass, targets.source);
    }
    hidden = model.decode(pass, {batch.target_input, sequences_of(batch.target_offsets)}, targets.memory);
  }
  if (softmax_samples > 0 && task == Task::language_modelling)
    return sampled_cross_entropy(hidden, model.output_weight(pass), model.output_bias(pass), targets.ids,
                                 softmax_samples);
  std::vector<float> row_weights;
  if (task == Task::classification && !class_weights.empty())
    for (const std::int32_t label : targets.ids) row_weights.push_back(class_weights[static_cast<std::size_t>(label)]);
  targets.row_weights = row_weights;
  return model.loss(hidden, targets);
}

}  // namespace heed
