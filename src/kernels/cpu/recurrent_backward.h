#pragma once
#include "kernels/cpu/recurrent.h"

namespace heed::HEED_ISA {

/// RecurrentKernels::backward, and the weights packed for it.
void recurrent_backward(const kernels::Recurrence& direction, const kernels::RecurrenceGradients& to,
                        const kernels::RecurrentPiece& piece, std::int64_t step, std::int64_t active);
void pack_recurrent_backward(const kernels::Recurrence& direction, float* to);

}  // namespace heed::HEED_ISA
