#pragma once
#include <string>

#include "models/model.h"
#include "text/batches.h"

namespace heed {

/// The loss of a batch by the task's kind: next tokens (language modelling, translation) or classes.
Loss batch_loss(const std::string& task, const Model& model, Pass& pass, const PackedBatch& batch, float label_smoothing);

/// Offsets as the sequences of a pass.
SequencesPointer sequences_of(const std::vector<std::int64_t>& offsets);

}  // namespace heed
