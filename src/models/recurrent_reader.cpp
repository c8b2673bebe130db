#include "models/recurrent_reader.h"

#include <algorithm>
#include <cmath>

namespace heed {

namespace {

ModelConfig with_attention_pooling(ModelConfig config) {
  config.pooling = "attention";
  return config;
}

/// For each token of the passages 1 when its question has the same, else 0. Ids up to the end token are no words.
std::vector<std::int32_t> matches(const TokenRows& question, const TokenRows& passage) {
  constexpr std::int32_t special_tokens = 3;
  std::vector<std::int32_t> found;
  found.reserve(passage.ids.size());
  for (std::int64_t i = 0; i < passage.sequences->count(); ++i) {
    const auto of = [i](const TokenRows& rows) {
      return rows.ids.subspan(static_cast<std::size_t>(rows.sequences->begin(i)),
                              static_cast<std::size_t>(rows.sequences->length(i)));
    };
    const auto asked = of(question);
    for (const std::int32_t id : of(passage))
      found.push_back(id >= special_tokens && std::find(asked.begin(), asked.end(), id) != asked.end());
  }
  return found;
}

/// A row for each token of `sequences`: that of its sequence.
Var spread(const Var& rows, const SequencesPointer& sequences) {
  std::vector<std::int32_t> ids;
  for (std::int64_t i = 0; i < sequences->count(); ++i)
    ids.insert(ids.end(), static_cast<std::size_t>(sequences->length(i)), static_cast<std::int32_t>(i));
  return embedding(rows.pass(), ids, sequences, rows);
}

}  // namespace

RecurrentReader::Look::Look(const ModelConfig& config, std::int64_t width) : query(width, width), key(width, width) {
  spec.score = score_named(config.pooling_score);
  if (spec.score == Score::additive)
    direction = Weight({1, width}, {Initial::Kind::normal, 1.0f / std::sqrt(static_cast<float>(width))});
}

Var RecurrentReader::Look::operator()(const Var& from, const Var& at, const std::string& name) const {
  return attend_to(query(from), key(at), at, direction ? from.pass().use(direction) : Var(), spec, name);
}

RecurrentReader::RecurrentReader(const ModelConfig& config, const ModelSizes& sizes)
    : config_(config), dropout_(static_cast<float>(config.dropout)) {
  if (config.layers < 1) throw Error("model.layers is {}; a recurrent model has one or more", config.layers);
  const std::int64_t embedded = config.embedded();
  embedding_ = Embedding(sizes.source, embedded, 1.0f / std::sqrt(static_cast<float>(embedded)));
  match_ = Embedding(2, embedded, 1.0f / std::sqrt(static_cast<float>(embedded)));
  word_look_ = Look(config, embedded);
  aligned_ = Linear(embedded, embedded, false);
  stack_ = recurrent_stack(config, embedded, true, config.layers, -1);
  const std::int64_t width = stack_.width();
  look_ = Look(config, width);
  from_passage_ = Linear(width, width);
  from_question_ = Linear(width, width, false);
  from_product_ = Linear(width, width, false);
  reading_ = recurrent_stack(config, width, true, config.layers, -1);
  summary_ = RecurrentSummary(with_attention_pooling(config), width, sizes.classes);
  gate_ = Linear(width, reading_.width());
  output_ = Linear(reading_.width(), sizes.classes);
}

void RecurrentReader::visit(const WeightVisitor& visitor) {
  const auto part = [&](const std::string& name, auto& module) { detail::visit_part(name, module, visitor); };
  part("encoder.embedding", embedding_);
  part("encoder", stack_);
  part("reader.match", match_);
  part("reader.word_attention", word_look_);
  part("reader.aligned", aligned_);
  part("reader.attention", look_);
  part("reader.from_passage", from_passage_);
  part("reader.from_question", from_question_);
  part("reader.from_product", from_product_);
  part("reader", reading_);
  part("pooling", summary_);
  part("reader.gate", gate_);
  part("output", output_);
}

Var RecurrentReader::embedded(Pass& pass, const TokenRows& tokens) const {
  return dropout(embedding_(pass, tokens.ids, tokens.sequences), config_.embedding_rate());
}

Var RecurrentReader::encode(Pass& pass, const TokenRows& source) const { return stack_(embedded(pass, source)).output; }

Var RecurrentReader::encode_pair(Pass& pass, const TokenRows& question, const TokenRows& passage) const {
  if (question.sequences->count() != passage.sequences->count())
    throw Error("encode_pair: {} questions for {} passages; each passage needs its own", question.sequences->count(),
                passage.sequences->count());
  const Var question_words = embedded(pass, question), passage_words = embedded(pass, passage);
  const Var asked = dropout(stack_(question_words).output, dropout_);
  const Var matched = match_(pass, matches(question, passage), passage.sequences) + passage_words;
  const Var nearest = word_look_(passage_words, question_words, "words");
  const Var read = dropout(stack_(aligned_(nearest, matched)).output, dropout_);

  const Var seen = look_(read, asked, "question");
  const Var compared = from_product_(multiply(read, seen), from_question_(seen, from_passage_(read)));
  const Var again = reading_(dropout(activate(compared, ActivationKind::relu), dropout_)).output;
  return dropout(again + multiply(again, spread(gate_(summary_(asked)), passage.sequences)), dropout_);
}

Var RecurrentReader::decode(Pass&, const TokenRows&, const Var&) const {
  throw Error("decode: a model that answers questions from passages has no decoder");
}

void RecurrentReader::remember(const Var&, const TokenRows&) const {}

Var RecurrentReader::summarise(const Var&) const {
  throw Error("summarise: a model that answers questions from passages tells no classes apart");
}

}  // namespace heed
