#pragma once
#include <heed/arena.h>
#include <heed/pass.h>

#include <functional>
#include <map>
#include <string>
#include <vector>

#include <heed/model.h>
#include "decode/generate.h"
#include "text/batches.h"

namespace heed {

/// What was measured, by name: "loss" (negative log-likelihood a prediction, without smoothing) and "accuracy" always;
/// "perplexity" for texts; "macro_f1", "macro_recall" for classes; "bleu", "chrf" where answers were generated.
using Measures = std::map<std::string, double>;

/// What predictions and likelihoods are measured with: memory and threads of the caller, no tape.
struct Evaluation {
  const Model& model;
  const TextEncoder& text;
  Arena& arena;
  ThreadPool& pool;
  Precision precision;
};

/// Measures a model on the batches of epoch 0 (see validation_batches). `progress` is told batches done, of all.
Measures evaluate(const Evaluation& with, const Batches& batches,
                  const std::function<void(std::int64_t done, std::int64_t total)>& progress = {});

/// Probabilities of the classes for each text: [texts, classes].
Tensor classify(const Evaluation& with, const std::vector<std::vector<std::int32_t>>& texts);

/// Hidden states of every token of the texts, one text after the other: [tokens, width], float32; the encoder's, or a
/// language model's.
Tensor hidden_states(const Evaluation& with, const std::vector<std::vector<std::int32_t>>& texts);

/// Answers texts by the task: translates them, or goes on with them (see `answers` in decode/generate.h).
std::vector<Generated> generate_texts(const Model& model, const TextEncoder& text, Session& session, const std::vector<std::string>& texts,
                                      const GenerationConfig& generation, GenerationCallbacks callbacks);

/// Translates sources and compares with references: "bleu" (13a), "chrf". The translations go to `answers` if given.
Measures evaluate_translation(const Evaluation& with, const std::vector<std::string>& sources, const std::vector<std::string>& references,
                              const GenerationConfig& generation, std::vector<std::string>* answers = nullptr,
                              const std::function<void(std::size_t done, std::size_t total)>& progress = {});

}  // namespace heed
