#pragma once
#include <heed/attention_plan.h>

#include <string>

#include "kernels/dispatch.h"

namespace heed::attention {

/// The lines of AttentionPlan::explain that follow the spec's.
std::string explanation_of(const AttentionProblem& problem, const AttentionPlanOptions& options,
                           kernels::InstructionSet set);

/// Throws Error naming those that are there.
kernels::InstructionSet instruction_set_named(const std::string& name);

}  // namespace heed::attention
