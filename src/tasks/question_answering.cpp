#include "tasks/question_answering.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "formats/utf8.h"
#include "tasks/loss.h"
#include "text/passages.h"

namespace heed {

namespace {

struct Window {
  std::size_t query = 0;
  PassageWindow place;
  std::int64_t length = 0;  // of the whole sequence
};

/// The best span of a window, and how the window's first token (no answer) scores. Scores are sums of two.
struct WindowAnswer {
  double score = -std::numeric_limits<double>::infinity(), silence = 0.0;
  double log_probability = 0.0, silence_log_probability = 0.0;
  std::int64_t first = -1, last = -1;  // tokens of the passage
};

/// scores: [tokens, 2], the end token before the window's own.
WindowAnswer best_span(const float* scores, const PassageWindow& window, std::int64_t longest_answer) {
  const auto begins = [scores](std::int64_t t) { return static_cast<double>(scores[2 * t]); };
  const auto ends = [scores](std::int64_t t) { return static_cast<double>(scores[2 * t + 1]); };
  WindowAnswer best;
  best.silence = begins(0) + ends(0);
  for (std::int64_t i = 1; i <= window.count; ++i)
    for (std::int64_t j = i; j <= std::min(window.count, i + longest_answer - 1); ++j) {
      if (begins(i) + ends(j) <= best.score) continue;
      best.score = begins(i) + ends(j);
      best.first = window.first + i - 1;
      best.last = window.first + j - 1;
    }
  const auto log_sum = [&](auto score) {
    double most = score(0), sum = 0.0;
    for (std::int64_t t = 1; t <= window.count; ++t) most = std::max(most, score(t));
    for (std::int64_t t = 0; t <= window.count; ++t) sum += std::exp(score(t) - most);
    return most + std::log(sum);
  };
  const double norm = log_sum(begins) + log_sum(ends);
  best.log_probability = best.score - norm;
  best.silence_log_probability = best.silence - norm;
  return best;
}

class Answering {
 public:
  Answering(const Evaluation& with, const std::vector<PassageQuery>& queries, const SpanOptions& options)
      : with_(with), queries_(queries), options_(options), found_(queries.size()), silence_(queries.size()) {
    for (std::size_t i = 0; i < queries.size(); ++i) {
      // Questions about one passage follow each other, and it is tokenised once.
      const bool same = i > 0 && queries[i].passage == queries[i - 1].passage;
      passage_.push_back(same ? passage_.back() : passages_.size());
      if (!same) passages_.push_back(passage_tokens(with.text, queries[i].passage));
      questions_.push_back(
          source_input(Task::question_answering, question_ids(with.text, queries[i].question, options.longest)));
      const auto tokens = static_cast<std::int64_t>(passages_.back().ids.size()),
                 question = static_cast<std::int64_t>(questions_.back().size());
      for (const PassageWindow& window : passage_windows(tokens, question - 1, options.longest, options.stride))
        windows_.push_back({i, window, question + 1 + window.count});
    }
    for (WindowAnswer& silence : silence_) silence.silence = std::numeric_limits<double>::infinity();
  }

  std::vector<SpanAnswer> operator()(const std::function<void(std::size_t, std::size_t)>& progress) {
    std::stable_sort(windows_.begin(), windows_.end(),
                     [](const Window& a, const Window& b) { return a.length < b.length; });
    constexpr std::int64_t most_tokens = 4096;
    for (std::size_t begin = 0; begin < windows_.size();) {
      std::int64_t tokens = 0;
      std::size_t end = begin;
      for (; end < windows_.size() && (end == begin || tokens + windows_[end].length <= most_tokens); ++end)
        tokens += windows_[end].length;
      run(begin, end);
      begin = end;
      if (progress) progress(begin, windows_.size());
    }
    std::vector<SpanAnswer> answers;
    for (std::size_t i = 0; i < queries_.size(); ++i) answers.push_back(answer(i));
    return answers;
  }

 private:
  void run(std::size_t begin, std::size_t end) {
    PackedBatch batch;
    batch.source_offsets = batch.target_offsets = {0};
    for (std::size_t w = begin; w < end; ++w) {
      const Window& window = windows_[w];
      const auto& question = questions_[window.query];
      const auto from = passages_[passage_[window.query]].ids.begin() + window.place.first;
      batch.source.insert(batch.source.end(), question.begin(), question.end());
      batch.target_input.push_back(Vocabulary::end());
      batch.target_input.insert(batch.target_input.end(), from, from + window.place.count);
      batch.source_offsets.push_back(static_cast<std::int64_t>(batch.source.size()));
      batch.target_offsets.push_back(static_cast<std::int64_t>(batch.target_input.size()));
    }
    PassOptions pass_options;
    pass_options.precision = with_.precision;
    Pass pass(with_.arena, with_.pool, pass_options);
    const Var scores = answer_scores(with_.model, pass, batch);
    for (std::size_t w = begin; w < end; ++w) {
      const Window& window = windows_[w];
      const WindowAnswer one = best_span(scores.value().floats() + 2 * batch.target_offsets[w - begin], window.place,
                                         options_.longest_answer);
      if (one.score > found_[window.query].score) found_[window.query] = one;
      if (one.silence < silence_[window.query].silence) silence_[window.query] = one;
    }
  }

  SpanAnswer answer(std::size_t i) const {
    const WindowAnswer &found = found_[i], &silence = silence_[i];
    SpanAnswer answer;
    const bool has_span = found.first >= 0;
    answer.no_answer = has_span ? silence.silence - found.score : std::numeric_limits<double>::infinity();
    if (!has_span || (options_.may_be_silent && answer.no_answer > options_.no_answer_threshold)) {
      answer.probability = std::exp(silence.silence_log_probability);
      if (has_span) answer.best = std::string(text_of(i, found));
      return answer;
    }
    const std::string_view text = text_of(i, found);
    answer.text = answer.best = std::string(text);
    answer.probability = std::exp(found.log_probability);
    answer.start =
        utf8_length(queries_[i].passage.substr(0, static_cast<std::size_t>(text.data() - queries_[i].passage.data())));
    answer.end = answer.start + utf8_length(text);
    return answer;
  }
  std::string_view text_of(std::size_t i, const WindowAnswer& found) const {
    const std::vector<TextSpan>& words = passages_[passage_[i]].words;
    const std::size_t begin = words[static_cast<std::size_t>(found.first)].begin,
                      end = words[static_cast<std::size_t>(found.last)].end;
    return queries_[i].passage.substr(begin, end - begin);
  }

  const Evaluation& with_;
  const std::vector<PassageQuery>& queries_;
  const SpanOptions& options_;
  std::vector<std::size_t> passage_;  // [queries] its number among the passages
  std::vector<PassageTokens> passages_;
  std::vector<std::vector<std::int32_t>> questions_;
  std::vector<Window> windows_;
  std::vector<WindowAnswer> found_, silence_;  // [queries]
};

}  // namespace

std::vector<SpanAnswer> answer_questions(const Evaluation& with, const std::vector<PassageQuery>& queries,
                                         const SpanOptions& options,
                                         const std::function<void(std::size_t, std::size_t)>& progress) {
  return Answering(with, queries, options)(progress);
}

Measures question_measures(const std::vector<SpanAnswer>& answers,
                           const std::vector<std::vector<std::string>>& references) {
  std::vector<std::string> texts, best;
  std::vector<double> no_answer;
  for (const SpanAnswer& answer : answers) {
    texts.push_back(answer.text);
    best.push_back(answer.best);
    no_answer.push_back(answer.no_answer);
  }
  const SquadScores scores = squad_scores(texts, references);
  Measures measures{{"exact_match", scores.all.exact}, {"f1", scores.all.f1}};
  if (scores.unanswerable.questions == 0) return measures;
  measures["answerable_exact_match"] = scores.answerable.exact;
  measures["answerable_f1"] = scores.answerable.f1;
  measures["unanswerable_f1"] = scores.unanswerable.f1;
  const SquadThresholds thresholds = best_no_answer_thresholds(best, no_answer, references);
  measures["best_exact_match"] = thresholds.best_exact;
  measures["exact_match_threshold"] = thresholds.exact_threshold;
  measures["best_f1"] = thresholds.best_f1;
  measures["f1_threshold"] = thresholds.f1_threshold;
  return measures;
}

}  // namespace heed
