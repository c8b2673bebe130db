#pragma once
#include <heed/generation_config.h>

#include <string>

#include "explain/attention_map.h"
#include "tasks/evaluate.h"

namespace heed {

/// A translation, and where the decoder looked in the source for each token of it.
struct ExplainedTranslation {
  std::string answer;
  AttentionMap attention;  ///< rows: the answer's tokens and its end; columns: the source's, and its end
};

/// Translates greedily (beams and sampling of `generation` are not used), then runs one pass over the source and the
/// whole answer, as in training, and records the layers whose names fit the pattern. Row i of the map belongs to the
/// prediction of the answer's i-th token, when the model had read only the tokens before it.
///
/// Throws Error when the model does not translate, when the source is empty or longer than the model's context, or when
/// no layer fits.
ExplainedTranslation explain_translation(const Evaluation& with, const std::string& source,
                                         const GenerationConfig& generation = {},
                                         const std::string& layers = "decoder.layers.*.cross");

}  // namespace heed
