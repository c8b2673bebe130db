#pragma once
#include "attention/call.h"

namespace heed::attention {

/// Whether a sequence has so few queries that reading its keys takes the time, and what is computed allows for it.
bool is_decoded(const AttentionProblem& problem, const AttentionSequence& sequence);

/// Output and log-sum-exp of the sequences that are decoded: keys and values are read once for all heads and queries.
void decode(const AttentionProblem& problem, const Call& call, ThreadPool& pool, kernels::InstructionSet set);

}  // namespace heed::attention
