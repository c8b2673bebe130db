#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "decode/generation.h"
#include "decode/session.h"

namespace heed {

/// Answers each input, greedily or by sampling (see Sampler); the answers are in the order of the inputs.
///
/// Inputs run together, in one pass a token: those that have finished leave, waiting ones join with their whole prompt.
/// An answer does not depend on what else runs, but for rounding; its draws depend on the seed, its place among the
/// inputs, and the position. `end`: the token that ends an answer, or −1 for none. An answer also ends at a stop
/// string, which is looked for in the text behind the prompt's; tokens and log-probability then include the one that
/// completed it.
///
/// Throws Error for an empty prompt, a prompt or source longer than the context, and stop strings without `decode`.
std::vector<Generated> generate(const Model& model, Session& session, std::span<const GenerationInput> inputs,
                                const GenerationConfig& config, std::int32_t end,
                                const GenerationCallbacks& callbacks = {});

/// The same, by beam search when config.beams > 1 (see beam_search.h): the best answer of each input. For whole files:
/// batch_tokens says how much runs at once.
std::vector<Generated> answers(const Model& model, Session& session, std::span<const GenerationInput> inputs,
                               const GenerationConfig& config, std::int32_t end,
                               const GenerationCallbacks& callbacks = {});

}  // namespace heed
