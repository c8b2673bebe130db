#pragma once
#include <functional>
#include <string>
#include <vector>

#include "tasks/question_answering.h"
#include "train/recipe.h"

namespace heed {

struct AnswerMeasuring {
  GenerationConfig generation;
  std::int64_t most = 0;         ///< only the first so many examples; 0: all
  std::vector<bool> articles{};  ///< question answering: only the questions of these articles; empty: all
  bool thorough = false;         ///< translation: TER, too; summarisation: what taking a sentence of the text gives
  std::vector<std::string>* answers = nullptr;  ///< gets the answers, in the files' order
  std::function<void(std::size_t done, std::size_t total)> progress{};
};

/// Answers the inputs of files and compares with their references, by the task: evaluate_translation,
/// evaluate_summaries, or question_measures. Empty for other tasks.
Measures measure_answers(const Evaluation& with, const Recipe& recipe, const DataFiles& files,
                         const AnswerMeasuring& how);

/// The same of question answering on a part of the training files' articles (data.validation_split, test_split).
Measures measure_articles(const Evaluation& with, const Recipe& recipe, DataPart part, AnswerMeasuring how);

/// The same on the recipe's validation data: its files, or of question answering the articles that were held out.
Measures measure_validation_answers(const Evaluation& with, const Recipe& recipe, AnswerMeasuring how);

/// How a model answers questions by its recipe.
SpanOptions span_options(const Recipe& recipe, const TextEncoder& text, const GenerationConfig& generation);

}  // namespace heed
