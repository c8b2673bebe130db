#pragma once
#include <heed/arena.h>
#include <heed/model.h>
#include <heed/pass.h>

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "decode/generate.h"
#include "text/batches.h"

namespace heed {

/// What was measured, by name: "loss" (negative log-likelihood a prediction, without smoothing) and "accuracy" always;
/// "perplexity" for texts; "macro_f1", "macro_recall", "micro_f1" for classes; "bleu", "chrf" or "rouge_1", … where
/// texts were generated; "exact_match" and "f1" of answers to questions.
using Measures = std::map<std::string, double>;

/// What predictions and likelihoods are measured with: memory and threads of the caller, no tape.
struct Evaluation {
  const Model& model;
  const TextEncoder& text;
  Arena& arena;
  ThreadPool& pool;
  Precision precision;
  double temperature = 1.0;  ///< classification: logits are divided by it, see fitted_temperature
};

/// What a classifier made of each example, in the order of the batches.
struct ClassPredictions {
  std::vector<std::int64_t> examples;  ///< their numbers in the store
  std::vector<std::int32_t> truth, predicted;
  std::vector<float> logits;  ///< [examples, classes], before the temperature
};

/// Measures a model on the batches of epoch 0 (see validation_batches); where they are streams of text, a recurrent
/// model's states are carried along each. `progress` is told batches done, of all;
/// `predictions`, if given, is filled in classification.
Measures evaluate(const Evaluation& with, const Batches& batches,
                  const std::function<void(std::int64_t done, std::int64_t total)>& progress = {},
                  ClassPredictions* predictions = nullptr);

/// Probabilities of the classes for each text: [texts, classes].
Tensor classify(const Evaluation& with, const std::vector<std::vector<std::int32_t>>& texts);

/// Hidden states of every token of the texts, one text after the other: [tokens, width], float32; the encoder's, or a
/// language model's.
Tensor hidden_states(const Evaluation& with, const std::vector<std::vector<std::int32_t>>& texts);

/// Answers texts by the task: translates them, or goes on with them (see `answers` in decode/generate.h).
std::vector<Generated> generate_texts(const Model& model, const TextEncoder& text, Session& session,
                                      const std::vector<std::string>& texts, const GenerationConfig& generation,
                                      GenerationCallbacks callbacks);

/// Translates sources and compares with references: "bleu" (13a), "chrf". The translations go to `answers` if given.
Measures evaluate_translation(const Evaluation& with, const std::vector<std::string>& sources,
                              const std::vector<std::string>& references, const GenerationConfig& generation,
                              std::vector<std::string>* answers = nullptr,
                              const std::function<void(std::size_t done, std::size_t total)>& progress = {});

/// "rouge_1", "rouge_2", "rouge_l", "rouge_l_sum": F1 of stems, 0 … 100. references: of each summary one or more.
Measures rouge_measures(const std::vector<std::string>& summaries,
                        const std::vector<std::vector<std::string>>& references);

/// Summarises sources and compares with references: rouge_measures. The summaries go to `answers` if given.
Measures evaluate_summaries(const Evaluation& with, const std::vector<std::string>& sources,
                            const std::vector<std::vector<std::string>>& references, const GenerationConfig& generation,
                            std::vector<std::string>* answers = nullptr,
                            const std::function<void(std::size_t done, std::size_t total)>& progress = {});

}  // namespace heed
