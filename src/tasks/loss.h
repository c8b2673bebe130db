#pragma once
#include <heed/model.h>

#include "text/batches.h"

namespace heed {

/// The loss of a batch by its task: next tokens (language modelling, translation, summarisation), classes, or the
/// places of an answer's first and last token. class_weights: what examples of each class count in the loss, or
/// empty: 1. softmax_samples: language modelling: against so many of the vocabulary (see
/// sampled_cross_entropy); 0: all.
Loss batch_loss(Task task, const Model& model, Pass& pass, const PackedBatch& batch, float label_smoothing,
                std::span<const float> class_weights = {}, std::int64_t softmax_samples = 0);

/// Question answering: how well each token of target_input begins and ends the answer, before the softmax over its
/// sequence: [tokens, 2].
Var answer_scores(const Model& model, Pass& pass, const PackedBatch& batch);

/// Offsets as the sequences of a pass.
SequencesPointer sequences_of(const std::vector<std::int64_t>& offsets);

}  // namespace heed
