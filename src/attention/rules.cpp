#include "attention/rules.h"

HEED_DECLARE_KERNELS(attention::RuleKernels, rule_kernels)

namespace heed::attention {

namespace {
constexpr kernels::Tables<RuleKernels> tables = HEED_KERNEL_TABLES(rule_kernels);
}

const RuleKernels& rule_kernels(kernels::InstructionSet set) { return tables[set]; }

}  // namespace heed::attention
