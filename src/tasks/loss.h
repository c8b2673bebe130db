#pragma once
#include <heed/model.h>
#include "text/batches.h"

namespace heed {

/// The loss of a batch by its task: next tokens (language modelling, translation) or classes.
Loss batch_loss(Task task, const Model& model, Pass& pass, const PackedBatch& batch,
                float label_smoothing);

/// Offsets as the sequences of a pass.
SequencesPointer sequences_of(const std::vector<std::int64_t>& offsets);

}  // namespace heed
