#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace heed {

/// An answer as the official scripts compare it: lower-cased, without ASCII punctuation and the words a, an and the,
/// with single spaces.
std::string normalised_answer(std::string_view answer);

/// 1 when both are the same once normalised, else 0.
double exact_match(std::string_view answer, std::string_view reference);
/// F1 of the words in common, each counting as often as both have it. Two answers without words agree, one does not
/// with any other.
double answer_f1(std::string_view answer, std::string_view reference);

struct AnswerScores {
  double exact = 0, f1 = 0;  ///< 0 … 100
  std::int64_t questions = 0;
};

struct SquadScores {
  AnswerScores all;
  AnswerScores answerable, unanswerable;  ///< the questions that have an answer, and those that have none
};

/// Exact match and F1 as the official scripts of SQuAD 1.1 and 2.0 compute them: of several references the best counts;
/// a question without references is answered rightly by an empty answer alone.
///
/// references: for each question its answers, as many lists as there are answers. Throws Error naming both counts when
/// they differ, and when there is no question. Rajpurkar et al. 2016 (arXiv:1606.05250), 2018 (arXiv:1806.03822).
SquadScores squad_scores(std::span<const std::string> answers, std::span<const std::vector<std::string>> references);

/// The scores when "no answer" is said wherever it is preferred by more than a threshold, at the threshold that makes
/// each measure best: the official script's best_exact and best_f1.
struct SquadThresholds {
  double best_exact = 0, exact_threshold = 0, best_f1 = 0, f1_threshold = 0;
};

/// no_answer: for each question by how much "no answer" is preferred to `answers`, which are the best spans.
SquadThresholds best_no_answer_thresholds(std::span<const std::string> answers, std::span<const double> no_answer,
                                          std::span<const std::vector<std::string>> references);

}  // namespace heed
