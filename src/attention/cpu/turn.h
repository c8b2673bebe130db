#pragma once
// Pieces that add to the same gradients do so in one order whatever the threads, block of keys by block of keys: a
// piece stays behind the one before it. Pieces are begun in that order, so the one waited for is always at work.
#include "attention/cpu/task.h"

namespace heed::HEED_ISA {

inline constexpr std::int64_t every_block = std::int64_t{1} << 62;

HEED_INLINE void await_turn(const attention::HeadGradients& gradients, std::int64_t block) {
  if (!gradients.before) return;
  while (__atomic_load_n(gradients.before, __ATOMIC_ACQUIRE) <= block) gradients.wait();
}
HEED_INLINE void finish_turn(const attention::HeadGradients& gradients, std::int64_t block) {
  if (gradients.finished) __atomic_store_n(gradients.finished, block + 1, __ATOMIC_RELEASE);
}

/// A piece has finished when those before it have, even if it looks at other blocks than they do.
HEED_INLINE void finish_all_turns(const attention::HeadGradients& gradients) {
  await_turn(gradients, every_block - 1);
  finish_turn(gradients, every_block);
}

}  // namespace heed::HEED_ISA
