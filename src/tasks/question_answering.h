#pragma once
#include <functional>
#include <string>
#include <vector>

#include "tasks/evaluate.h"
#include "tasks/squad_metrics.h"

namespace heed {

/// A question about a passage.
struct PassageQuery {
  std::string_view question, passage;
};

struct SpanAnswer {
  std::string text;                   ///< empty: no answer
  std::int64_t start = -1, end = -1;  ///< in characters (code points) of the passage: [start, end); -1 without answer
  double probability = 0.0;           ///< of the answer that is given, in the window it was found in
  std::string best;                   ///< the best span, also when "no answer" is given
  double no_answer = 0.0;             ///< by how much "no answer" is preferred to the best span, in nats
};

struct SpanOptions {
  std::int64_t longest = 0;          ///< tokens of a sequence: question, window and the two tokens around them; 0: any
  std::int64_t stride = 128;         ///< tokens between the starts of windows
  std::int64_t longest_answer = 30;  ///< in tokens
  bool may_be_silent = false;        ///< whether "no answer" is an answer
  double no_answer_threshold = 0.0;  ///< given when it is preferred by more than this
};

/// Answers questions with the spans whose first and last token score best together, over all windows of the passage;
/// "no answer" scores as in the window that is least sure of it (Devlin et al. 2019, arXiv:1810.04805, section 4.3).
std::vector<SpanAnswer> answer_questions(const Evaluation& with, const std::vector<PassageQuery>& queries,
                                         const SpanOptions& options,
                                         const std::function<void(std::size_t done, std::size_t total)>& progress = {});

/// "exact_match" and "f1" (0 … 100) of answers to questions read from files, and where some have no answer also those
/// of either kind ("answerable_f1", …) and the best over all thresholds ("best_f1", "f1_threshold", …).
Measures question_measures(const std::vector<SpanAnswer>& answers,
                           const std::vector<std::vector<std::string>>& references);

}  // namespace heed
