#include "explain/explain_translation.h"

#include <algorithm>

#include "decode/generate.h"
#include "explain/alignment.h"
#include "explain/attention_recorder.h"

namespace heed {

namespace {

/// Tokens as a reader knows them: the mark of a subword that starts a word says nothing in a picture.
std::vector<std::string> labels_of(const Vocabulary& vocabulary, const std::vector<std::int32_t>& ids) {
  constexpr std::string_view word_start = "▁";
  std::vector<std::string> labels;
  for (const std::int32_t id : ids) {
    std::string piece = vocabulary.piece(id);
    if (piece.starts_with(word_start) && piece.size() > word_start.size()) piece.erase(0, word_start.size());
    labels.push_back(std::move(piece));
  }
  return labels;
}

constexpr const char* how_to_read =
    "Each row is a token of the answer, written from top to bottom; each column is a token of the source. The "
    "stronger a cell, the more the model looked at that part of the source when it chose that token. A row adds up to "
    "100 %. </s> stands for the end: the source ends there, and with it the model says that its answer is complete.";

/// Every head of every recorded layer, one after the other.
void take_heads(const AttentionRecorder& recorder, AttentionMap& map) {
  std::int64_t heads = 0;
  for (const AttentionRecorder::Layer& layer : recorder.layers())
    heads += static_cast<std::int64_t>(layer.heads.size());
  map.weights =
      Tensor({heads, static_cast<std::int64_t>(map.rows.size()), static_cast<std::int64_t>(map.columns.size())});
  float* next = map.weights.floats();
  for (std::size_t i = 0; i < recorder.layers().size(); ++i) {
    const AttentionRecorder::Layer& layer = recorder.layers()[i];
    const Tensor& weights = layer.sequences.front();
    next = std::copy_n(weights.floats(), weights.elements(), next);
    for (const int head : layer.heads) map.heads.push_back(format("layer {}, head {}", i + 1, head + 1));
  }
}

}  // namespace

ExplainedTranslation explain_translation(const Evaluation& with, const std::string& source,
                                         const GenerationConfig& generation, const std::string& layers) {
  if (with.text.task != Task::translation)
    throw Error("a translation can be explained of a model that translates, and this one is for {}",
                text_of(with.text.task));
  const std::vector<std::int32_t> source_ids = with.text.input(source);
  if (source_ids.size() <= 1) throw Error("nothing to translate: the source is empty");

  GenerationConfig greedy = generation;
  greedy.beams = 1;
  greedy.sample = false;
  const Vocabulary& vocabulary = *with.text.target;
  GenerationCallbacks callbacks;
  callbacks.decode = [&](std::span<const std::int32_t> ids) { return vocabulary.decode(ids); };
  Session session(with.pool, with.precision);
  const GenerationInput input{source_ids, {Vocabulary::begin()}};
  const Generated found = generate(with.model, session, {&input, 1}, greedy, Vocabulary::end(), callbacks).front();

  std::vector<std::int32_t> predicted = found.tokens;
  if (found.stop == Stop::end) predicted.push_back(Vocabulary::end());
  AttentionRecorder recorder(layers);
  read_again(with, source_ids, predicted, recorder);
  if (recorder.layers().empty()) throw Error("no attention layer has a name like {}", layers);

  ExplainedTranslation explained;
  explained.answer = found.text;
  AttentionMap& map = explained.attention;
  map.title = source + " → " + found.text;
  map.caption = how_to_read;
  map.rows = labels_of(vocabulary, predicted);
  map.columns = labels_of(*with.text.source, source_ids);
  take_heads(recorder, map);
  check(map);
  return explained;
}

}  // namespace heed
