#pragma once
#include "attention/call.h"

namespace heed::attention {

/// Whether a sequence has so few queries that reading its keys takes the time, and what is computed allows for it.
bool is_decoded(const AttentionProblem& problem, const AttentionSequence& sequence);

/// Output and log-sum-exp of the sequences that are decoded: keys and values are read once for all heads and queries.
void decode(const AttentionProblem& problem, const Call& call, ThreadPool& pool, kernels::InstructionSet set);

/// What decode does, for plans.
struct DecodeWork {
  std::int64_t parts = 0;           ///< of the keys of all that is decoded
  std::int64_t longest = 0;         ///< keys of one part
  std::int64_t thread_floats = 0;   ///< scratch of one part, besides the rules'
  std::int64_t partial_floats = 0;  ///< results of all parts
};
DecodeWork decode_work(const AttentionProblem& problem, const Call& call);

}  // namespace heed::attention
