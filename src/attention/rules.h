#pragma once
#include "attention/cpu/rules.h"
#include "kernels/dispatch.h"

namespace heed::attention {

/// The evaluator of rules and masks, compiled for `set`.
const RuleKernels& rule_kernels(kernels::InstructionSet set);

}  // namespace heed::attention
