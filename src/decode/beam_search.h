#pragma once
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "decode/generation.h"
#include "decode/session.h"

namespace heed {

/// Beam search over many inputs at once: each step is one pass over all live hypotheses of all inputs. For each input
/// the best `wanted` of config.beams hypotheses, best first; at least one.
///
/// At each step the likeliest continuations of an input's live hypotheses are kept, as many as the beam is wide; one
/// that ends (with the token `end`) is put aside and narrows the beam by one, so one beam is greedy search. Score: the
/// sum of log p / length^length_penalty, where the length counts the end token (Wu et al. 2016, arXiv:1609.08144,
/// section 7, in the plain form). Hypotheses that reach the limit are cut there, and come after all that have ended.
///
/// An input is done when all beams have ended, or when no live hypothesis can still come among the best `wanted`: a sum
/// of log p only falls and a length only grows to the limit, so a live hypothesis scores at most sum / limit^penalty,
/// for any penalty ≥ 0. (Dividing by the present length instead, as is common, would give up hypotheses that win.)
///
/// Ties go to the hypothesis that was better before, then to the smaller id, so an input's answers do not depend on
/// what else runs, but for rounding. Throws Error, beside what `generate` throws, for sampling or a repetition penalty.
std::vector<std::vector<Generated>> beam_search(
    const Model& model, Session& session, std::span<const GenerationInput> inputs, const GenerationConfig& config,
    std::int32_t end, std::size_t wanted = 1,
    const std::function<void(std::size_t done, std::size_t total)>& progress = {});

}  // namespace heed
