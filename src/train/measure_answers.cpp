#include "train/measure_answers.h"

#include <algorithm>

#include "tasks/ter.h"
#include "text/unicode.h"
#include "train/prepare.h"

namespace heed {

namespace {

/// Sentences by their ends: a line's, or . ! ? before white space.
std::vector<std::string> sentences_of(const std::string& text) {
  std::vector<std::string> sentences(1);
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool line_ends = text[i] == '\n';
    if (!line_ends) sentences.back() += text[i];
    const bool stop = text[i] == '.' || text[i] == '!' || text[i] == '?';
    if (line_ends || (stop && (i + 1 == text.size() || text[i + 1] == ' '))) sentences.emplace_back();
  }
  std::erase_if(sentences, [](const std::string& one) { return unicode::words(one).empty(); });
  if (sentences.empty()) sentences.emplace_back();
  return sentences;
}

/// What the first and the longest sentence of each text score as its summary: what a model must be better than.
void add_baselines(Measures& measures, const std::vector<std::string>& sources,
                   const std::vector<std::vector<std::string>>& references) {
  std::vector<std::string> first, longest;
  for (const std::string& source : sources) {
    const std::vector<std::string> sentences = sentences_of(source);
    first.push_back(sentences.front());
    longest.push_back(
        *std::max_element(sentences.begin(), sentences.end(),
                          [](const std::string& a, const std::string& b) { return a.size() < b.size(); }));
  }
  for (const auto& [name, value] : rouge_measures(first, references)) measures["first_sentence_" + name] = value;
  for (const auto& [name, value] : rouge_measures(longest, references)) measures["longest_sentence_" + name] = value;
}

}  // namespace

SpanOptions span_options(const Recipe& recipe, const TextEncoder& text, const GenerationConfig& generation) {
  return {.longest = longest_sequence(recipe),
          .stride = recipe.data.stride,
          .longest_answer = generation.longest_answer,
          .may_be_silent = text.unanswerable,
          .no_answer_threshold = generation.no_answer_threshold};
}

Measures measure_answers(const Evaluation& with, const Recipe& recipe, const DataFiles& files,
                         const AnswerMeasuring& how) {
  const Task task = with.text.task;
  if (!makes_text_from_text(task) && task != Task::question_answering) return {};
  ExampleReader reader(recipe.data, task, files);
  std::vector<TextExample> examples;
  for (TextExample example;
       (how.most == 0 || static_cast<std::int64_t>(examples.size()) < how.most) && reader.next(example);)
    if (how.articles.empty() || how.articles.at(static_cast<std::size_t>(example.group))) examples.push_back(example);

  std::vector<std::string> sources;
  std::vector<std::vector<std::string>> references;
  for (const TextExample& example : examples) {
    sources.push_back(example.source);
    std::vector<std::string>& right = references.emplace_back(example.references);
    if (task == Task::question_answering)
      for (const PassageAnswer& answer : example.answers) right.push_back(answer.text);
    else if (right.empty())
      right.push_back(example.target);
  }
  if (task == Task::question_answering) {
    std::vector<PassageQuery> queries;
    for (const TextExample& example : examples) queries.push_back({example.source, example.target});
    const auto answers = answer_questions(with, queries, span_options(recipe, with.text, how.generation), how.progress);
    if (how.answers)
      for (const SpanAnswer& answer : answers) how.answers->push_back(answer.text);
    return question_measures(answers, references);
  }
  std::vector<std::string> own;
  std::vector<std::string>* answers = how.answers ? how.answers : &own;
  if (task == Task::summarisation) {
    Measures measures = evaluate_summaries(with, sources, references, how.generation, answers, how.progress);
    if (how.thorough) add_baselines(measures, sources, references);
    return measures;
  }
  std::vector<std::string> targets;
  for (const TextExample& example : examples) targets.push_back(example.target);
  Measures measures = evaluate_translation(with, sources, targets, how.generation, answers, how.progress);
  if (how.thorough) measures["ter"] = corpus_ter(*answers, {targets});
  return measures;
}

Measures measure_articles(const Evaluation& with, const Recipe& recipe, DataPart part, AnswerMeasuring how) {
  const DataFiles train = data_files(recipe.data, DataPart::train, "");
  ExampleReader reader(recipe.data, with.text.task, train);
  std::int64_t articles = 0;
  for (TextExample example; reader.next(example);) articles = std::max<std::int64_t>(articles, example.group + 1);
  how.articles = articles_of(part, articles, recipe.data, recipe.training.seed);
  return measure_answers(with, recipe, train, how);
}

Measures measure_validation_answers(const Evaluation& with, const Recipe& recipe, AnswerMeasuring how) {
  const DataFiles files = data_files(recipe.data, DataPart::validation, "");
  if (!files.source.empty()) return measure_answers(with, recipe, files, how);
  if (with.text.task != Task::question_answering)
    throw Error("training.best_by = \"{}\" needs data.validation files of its own: name some", recipe.training.best_by);
  return measure_articles(with, recipe, DataPart::validation, std::move(how));
}

}  // namespace heed
