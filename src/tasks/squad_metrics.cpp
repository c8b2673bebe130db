#include "tasks/squad_metrics.h"

#include <heed/error.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <utility>

#include "formats/utf8.h"
#include "text/unicode.h"

namespace heed {

namespace {

/// ASCII punctuation, all of which the scripts delete; that of other scripts stays.
bool is_punctuation(char c) {
  return (c >= '!' && c <= '/') || (c >= ':' && c <= '@') || (c >= '[' && c <= '`') || (c >= '{' && c <= '~');
}

/// Whether a character is part of a word, so that "a" beside it is no article.
bool is_word(char32_t c) {
  if (c < 0x80) return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
  const bool combining = c >= 0x300 && c <= 0x36F;
  return !combining && !unicode::is_space(c) && !unicode::is_punctuation(c) && !unicode::is_symbol(c);
}

/// The text with each article that stands alone replaced by a space.
std::string without_articles(const std::string& text) {
  std::string kept, word;
  const auto end_word = [&] {
    kept += word == "a" || word == "an" || word == "the" ? " " : word;
    word.clear();
  };
  for (std::size_t at = 0; at < text.size();) {
    const Utf8Character character = decode_utf8(text, at);
    const std::string_view bytes(text.data() + at, static_cast<std::size_t>(character.bytes));
    at += bytes.size();
    if (is_word(character.code)) {
      word += bytes;
    } else {
      end_word();
      kept += bytes;
    }
  }
  end_word();
  return kept;
}

void check_counts(std::size_t answers, std::size_t references) {
  if (answers != references)
    throw Error("SQuAD scores: {} answers, but references for {} questions; each question needs one answer", answers,
                references);
  if (answers == 0) throw Error("SQuAD scores: there are no questions");
}

struct ExactAndF1 {
  double exact = 0, f1 = 0;
};

bool has_answer(const std::vector<std::string>& references) {
  return std::any_of(references.begin(), references.end(),
                     [](const std::string& one) { return !normalised_answer(one).empty(); });
}

ExactAndF1 best_of(const std::string& answer, const std::vector<std::string>& references) {
  if (!has_answer(references)) return {exact_match(answer, ""), answer_f1(answer, "")};
  ExactAndF1 best;
  for (const std::string& reference : references) {
    if (normalised_answer(reference).empty()) continue;
    best.exact = std::max(best.exact, exact_match(answer, reference));
    best.f1 = std::max(best.f1, answer_f1(answer, reference));
  }
  return best;
}

}  // namespace

std::string normalised_answer(std::string_view answer) {
  std::string text = unicode::lowercase(answer);
  std::erase_if(text, is_punctuation);
  text = without_articles(text);
  std::string joined;
  for (const std::string_view word : unicode::words(text)) (joined += joined.empty() ? "" : " ") += word;
  return joined;
}

double exact_match(std::string_view answer, std::string_view reference) {
  return normalised_answer(answer) == normalised_answer(reference) ? 1 : 0;
}

double answer_f1(std::string_view answer, std::string_view reference) {
  const std::string found_text = normalised_answer(answer), wanted_text = normalised_answer(reference);
  const auto found = unicode::words(found_text), wanted = unicode::words(wanted_text);
  if (found.empty() || wanted.empty()) return found.size() == wanted.size() ? 1 : 0;
  std::map<std::string_view, std::int64_t> left;
  for (const std::string_view word : wanted) ++left[word];
  std::int64_t common = 0;
  for (const std::string_view word : found) common += left[word]-- > 0;
  return 2 * static_cast<double>(common) / static_cast<double>(found.size() + wanted.size());
}

SquadScores squad_scores(std::span<const std::string> answers, std::span<const std::vector<std::string>> references) {
  check_counts(answers.size(), references.size());
  SquadScores scores;
  for (std::size_t i = 0; i < answers.size(); ++i) {
    const ExactAndF1 one = best_of(answers[i], references[i]);
    for (AnswerScores* of : {&scores.all, has_answer(references[i]) ? &scores.answerable : &scores.unanswerable}) {
      of->exact += one.exact;
      of->f1 += one.f1;
      ++of->questions;
    }
  }
  for (AnswerScores* of : {&scores.all, &scores.answerable, &scores.unanswerable}) {
    if (of->questions == 0) continue;
    of->exact *= 100 / static_cast<double>(of->questions);
    of->f1 *= 100 / static_cast<double>(of->questions);
  }
  return scores;
}

SquadThresholds best_no_answer_thresholds(std::span<const std::string> answers, std::span<const double> no_answer,
                                          std::span<const std::vector<std::string>> references) {
  check_counts(answers.size(), references.size());
  check_counts(no_answer.size(), references.size());
  std::vector<std::size_t> order(answers.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return no_answer[a] < no_answer[b]; });

  // From "no answer" to all questions on, one question after the other is answered.
  ExactAndF1 sum;
  for (const auto& one : references) sum.exact += !has_answer(one);
  sum.f1 = sum.exact;
  SquadThresholds best{.best_exact = sum.exact, .best_f1 = sum.f1};
  for (const std::size_t i : order) {
    if (has_answer(references[i])) {
      const ExactAndF1 one = best_of(answers[i], references[i]);
      sum.exact += one.exact;
      sum.f1 += one.f1;
    } else if (!answers[i].empty()) {
      sum.exact -= 1;
      sum.f1 -= 1;
    }
    if (sum.exact > best.best_exact) best.best_exact = sum.exact, best.exact_threshold = no_answer[i];
    if (sum.f1 > best.best_f1) best.best_f1 = sum.f1, best.f1_threshold = no_answer[i];
  }
  best.best_exact *= 100 / static_cast<double>(answers.size());
  best.best_f1 *= 100 / static_cast<double>(answers.size());
  return best;
}

}  // namespace heed
