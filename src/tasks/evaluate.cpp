#include "tasks/evaluate.h"

#include <algorithm>
#include <cmath>

#include "kernels/rows.h"
#include "tasks/bleu.h"
#include "tasks/carried_states.h"
#include "tasks/chrf.h"
#include "tasks/classification_metrics.h"
#include "tasks/loss.h"
#include "tasks/rouge.h"

namespace heed {

namespace {

Tensor class_logits(const Evaluation& with, Pass& pass, std::span<const std::int32_t> source,
                    const std::vector<std::int64_t>& offsets) {
  const Var hidden = with.model.summarise(with.model.encode(pass, {source, sequences_of(offsets)}));
  return linear(hidden, with.model.output_weight(pass), with.model.output_bias(pass)).value();
}

PassOptions options_of(const Evaluation& with) {
  PassOptions options;
  options.precision = with.precision;
  return options;
}

void divide_by_temperature(const Evaluation& with, const Tensor& logits) {
  if (with.temperature == 1.0) return;
  for (std::int64_t i = 0; i < logits.elements(); ++i) logits.floats()[i] /= static_cast<float>(with.temperature);
}

}  // namespace

Measures evaluate(const Evaluation& with, const Batches& batches,
                  const std::function<void(std::int64_t, std::int64_t)>& progress, ClassPredictions* predictions) {
  const bool classes = with.text.task == Task::classification;
  double loss = 0.0;
  std::int64_t count = 0, correct = 0;
  std::vector<std::int32_t> predicted, actual;
  const std::int64_t total = batches.batches_in_epoch(0);
  CarriedStates carried(with.model, batches.streams());
  for (std::int64_t i = 0; i < total; ++i) {
    const PackedBatch batch = batches.batch(0, i);
    PassOptions options = options_of(with);
    options.states = carried.of_pass();
    Pass pass(with.arena, with.pool, options);
    if (classes) {
      const Tensor logits = class_logits(with, pass, batch.source, batch.source_offsets);
      if (predictions) {
        predictions->examples.insert(predictions->examples.end(), batch.examples.begin(), batch.examples.end());
        predictions->logits.insert(predictions->logits.end(), logits.floats(), logits.floats() + logits.elements());
      }
      divide_by_temperature(with, logits);
      kernels::softmax_rows(logits.view(), true, with.pool);
      for (std::int64_t row = 0; row < logits.rows(); ++row) {
        const float* log_probability = logits.floats() + row * logits.width();
        const std::int32_t label = batch.labels[static_cast<std::size_t>(row)];
        loss -= static_cast<double>(log_probability[label]);
        predicted.push_back(static_cast<std::int32_t>(
            std::max_element(log_probability, log_probability + logits.width()) - log_probability));
        actual.push_back(label);
        correct += predicted.back() == label;
        ++count;
      }
    } else {
      const Loss found = batch_loss(with.text.task, with.model, pass, batch, 0.0f);
      carried.advance(batch.target_offsets);
      loss += found.negative_log_likelihood;
      count += found.count;
      correct += found.correct;
    }
    if (progress) progress(i + 1, total);
  }
  if (count == 0) throw Error("nothing to evaluate: the data hold no example");
  Measures measures{{"loss", loss / static_cast<double>(count)},
                    {"accuracy", static_cast<double>(correct) / static_cast<double>(count)}};
  if (classes) {
    const ClassificationScores scores =
        classification_scores(confusion_matrix(actual, predicted, static_cast<int>(with.text.labels.names().size())));
    measures["macro_f1"] = scores.macro.f1;
    measures["macro_recall"] = scores.macro.recall;
    measures["micro_f1"] = scores.micro.f1;
    if (predictions) {
      predictions->truth = std::move(actual);
      predictions->predicted = std::move(predicted);
    }
  } else if (with.text.task != Task::question_answering) {
    measures["perplexity"] = std::exp(measures["loss"]);
  }
  return measures;
}

Tensor classify(const Evaluation& with, const std::vector<std::vector<std::int32_t>>& texts) {
  const auto classes = static_cast<std::int64_t>(with.text.labels.names().size());
  Tensor all({static_cast<std::int64_t>(texts.size()), classes});
  constexpr std::size_t most_tokens = 4096;
  for (std::size_t begin = 0; begin < texts.size();) {
    std::vector<std::int32_t> ids;
    std::vector<std::int64_t> offsets{0};
    std::size_t end = begin;
    while (end < texts.size() && (end == begin || ids.size() + texts[end].size() <= most_tokens)) {
      if (static_cast<std::int64_t>(texts[end].size()) > with.model.context())
        throw Error(
            "text {} has {} tokens, more than the model's context of {}: cut it, or train with a larger model.context",
            end + 1, texts[end].size(), with.model.context());
      ids.insert(ids.end(), texts[end].begin(), texts[end].end());
      offsets.push_back(static_cast<std::int64_t>(ids.size()));
      ++end;
    }
    Pass pass(with.arena, with.pool, options_of(with));
    const Tensor logits = class_logits(with, pass, ids, offsets);
    divide_by_temperature(with, logits);
    kernels::softmax_rows(logits.view(), false, with.pool);
    kernels::convert(logits.view(), all.slice(static_cast<std::int64_t>(begin), static_cast<std::int64_t>(end)).view(),
                     with.pool);
    begin = end;
  }
  return all;
}

Tensor hidden_states(const Evaluation& with, const std::vector<std::vector<std::int32_t>>& texts) {
  std::vector<std::int32_t> ids;
  std::vector<std::int64_t> offsets{0};
  for (const auto& text : texts) {
    ids.insert(ids.end(), text.begin(), text.end());
    offsets.push_back(static_cast<std::int64_t>(ids.size()));
  }
  Pass pass(with.arena, with.pool, options_of(with));
  const TokenRows rows{ids, sequences_of(offsets)};
  const Var hidden =
      with.text.task == Task::language_modelling ? with.model.decode(pass, rows, Var()) : with.model.encode(pass, rows);
  return hidden.dtype() == DType::float32 ? hidden.keep() : hidden.value().to(DType::float32);
}

std::vector<Generated> generate_texts(const Model& model, const TextEncoder& text, Session& session,
                                      const std::vector<std::string>& texts, const GenerationConfig& generation,
                                      GenerationCallbacks callbacks) {
  const bool translating = makes_text_from_text(text.task);
  const Vocabulary& vocabulary = translating ? *text.target : *text.source;
  std::vector<GenerationInput> inputs;
  for (const std::string& one : texts) {
    std::vector<std::int32_t> ids = text.input(one);
    if (translating)
      inputs.push_back({std::move(ids), {Vocabulary::begin()}});
    else
      inputs.push_back({{}, std::move(ids)});
  }
  callbacks.decode = [&](std::span<const std::int32_t> ids) { return vocabulary.decode(ids); };
  // A stream of text has no end token; documents and translations have.
  const std::int32_t end = translating || text.documents ? Vocabulary::end() : -1;
  return answers(model, session, inputs, generation, end, callbacks);
}

namespace {

std::vector<std::string> answers_to(const Evaluation& with, const std::vector<std::string>& sources,
                                    const GenerationConfig& generation,
                                    const std::function<void(std::size_t, std::size_t)>& progress) {
  Session session(with.pool, with.precision);
  GenerationCallbacks callbacks;
  callbacks.progress = progress;
  std::vector<std::string> found;
  for (Generated& answer : generate_texts(with.model, with.text, session, sources, generation, std::move(callbacks)))
    found.push_back(std::move(answer.text));
  return found;
}

}  // namespace

Measures evaluate_translation(const Evaluation& with, const std::vector<std::string>& sources,
                              const std::vector<std::string>& references, const GenerationConfig& generation,
                              std::vector<std::string>* texts,
                              const std::function<void(std::size_t, std::size_t)>& progress) {
  std::vector<std::string> found = answers_to(with, sources, generation, progress);
  const Measures measures{{"bleu", corpus_bleu(found, {references}).score}, {"chrf", corpus_chrf(found, {references})}};
  if (texts) *texts = std::move(found);
  return measures;
}

Measures rouge_measures(const std::vector<std::string>& summaries,
                        const std::vector<std::vector<std::string>>& references) {
  const RougeScores scores = corpus_rouge(summaries, references, {.stem = true});
  return {{"rouge_1", 100 * scores.rouge_1.f1},
          {"rouge_2", 100 * scores.rouge_2.f1},
          {"rouge_l", 100 * scores.rouge_l.f1},
          {"rouge_l_sum", 100 * scores.rouge_l_sum.f1}};
}

Measures evaluate_summaries(const Evaluation& with, const std::vector<std::string>& sources,
                            const std::vector<std::vector<std::string>>& references, const GenerationConfig& generation,
                            std::vector<std::string>* texts,
                            const std::function<void(std::size_t, std::size_t)>& progress) {
  std::vector<std::string> found = answers_to(with, sources, generation, progress);
  Measures measures = rouge_measures(found, references);
  if (texts) *texts = std::move(found);
  return measures;
}

}  // namespace heed
