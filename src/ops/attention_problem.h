#pragma once
#include <heed/ops.h>

namespace heed {

/// A problem of this spec: without dropout unless the pass trains.
AttentionProblem problem_of(Pass& pass, const AttentionSpec& spec);

/// Keys and values in one packed block: one span a sequence.
void span_packed(AttentionProblem& problem, View key, View value, const Sequences& queries, const Sequences& keys);

}  // namespace heed
