#pragma once
#include <heed/pass.h>

namespace heed {

/// What the pass's states hold for a slot at their length: [states, width], without a gradient. A state of no tokens
/// holds what `remember_start` has put there, or else zeros. Throws Error for a state that was rolled back too far.
Var remembered(Pass& pass, std::int64_t width, int slot);
/// Puts rows, one a state, into the slot as what stands after each sequence's tokens.
void remember(const Var& rows, const Sequences& sequences, int slot);
/// Puts rows, one a state, into the slot as what stands before the first token.
void remember_start(const Var& rows, int slot);

}  // namespace heed
