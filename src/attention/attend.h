#pragma once
#include <heed/attention.h>

#include "kernels/dispatch.h"

namespace heed::attention {

/// attention_forward and attention_backward with kernels of a given instruction set.
void forward(const AttentionProblem& problem, View output, float* log_sum_exp, ThreadPool& pool,
             kernels::InstructionSet set);
void backward(const AttentionProblem& problem, View output, const float* log_sum_exp, View doutput,
              const AttentionGradients& gradients, ThreadPool& pool, kernels::InstructionSet set);

}  // namespace heed::attention
