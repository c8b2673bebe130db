#pragma once
#include <cstdint>

namespace heed {

/// One sequence of a call to an operator that reads rows one after the other and carries a state along: its rows are
/// [begin, begin + count) of the packed inputs.
struct StateSequence {
  std::int64_t begin = 0;
  std::int64_t count = 0;
  const float* initial_state = nullptr;  ///< null: zeros
  float* final_state = nullptr;          ///< null: not wanted; may be the initial state's memory
};

/// Gradients of one sequence's states.
struct StateGradient {
  const float* final_state = nullptr;  ///< given; null: zeros
  float* initial_state = nullptr;      ///< written; null: not wanted; may not be the final state's memory
};

}  // namespace heed
