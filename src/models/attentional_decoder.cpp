#include <algorithm>

#include "models/recurrent_translator.h"
#include "nn/recurrent_memory.h"

namespace heed {

AttentionalDecoder::AttentionalDecoder(const ModelConfig& config, std::int64_t entries, std::int64_t memory_width)
    : lowest(config.decoder_attention == "lowest"),
      residual(config.residual),
      dropout(static_cast<float>(config.dropout)),
      embedding_dropout(config.embedding_rate()) {
  const std::int64_t width = config.width, embedded = config.embedded();
  const std::int64_t count = config.layers_of_decoder();
  if (count < 1) throw Error("model.decoder_layers is {}; a recurrent decoder has one or more", count);
  if (lowest && count < 2)
    throw Error(
        "model.decoder_attention is \"lowest\", but there is no layer above it to read the context: set "
        "model.decoder_layers to 2 or more, or model.decoder_attention to \"top\"");
  embedding = Embedding(entries, embedded, 1.0f / std::sqrt(static_cast<float>(embedded)));
  layers = recurrent_stack(config, embedded, false, count, -1).layers;
  AttentionShape shape;
  shape.width = width;
  shape.memory_width = memory_width;
  shape.heads = shape.key_value_heads = static_cast<int>(config.heads);
  shape.head_width = static_cast<int>(config.width_of_head());
  shape.bias = false;
  shape.spec.score = score_named(config.attention_score);
  // One head over a sentence is a decoder's only sight of it: weights are dropped where it is asked for alone.
  shape.spec.dropout = static_cast<float>(std::max(config.attention_dropout, 0.0));
  shape.slot = 0;
  shape.name = "decoder.cross";
  attention = CrossAttention(shape);
  const std::int64_t gates = layers.front().weight.shape()[0];
  if (!lowest) combine = Linear(width, width);
  for (std::int64_t i = 1; lowest && i < count; ++i) context.emplace_back(width, gates, false);
  if (config.input_feeding) feed = Linear(width, gates, false);
  const std::int64_t state = state_width(layers.front().shape.cell, width);
  for (std::int64_t i = 0; i < count; ++i) starts.emplace_back(memory_width, state);
}

std::vector<Var> AttentionalDecoder::start(const Var& memory) const {
  const Var mean = pool(memory, Pooling::mean);
  std::vector<Var> states;
  for (const Linear& of_layer : starts) states.push_back(activate(of_layer(mean), ActivationKind::tanh));
  return states;
}

void AttentionalDecoder::remember(const Var& memory) const {
  attention.remember(memory);
  int number = 0;
  for (const Var& state : start(memory)) remember_start(state, ++number);
}

AttentionalDecoder::Step AttentionalDecoder::step(const Var& gates, const Var& keys_and_values,
                                                  const std::vector<Var>& states) const {
  Step result;
  RecurrentResult of_layer = layers.front().run(gates, states.front());
  result.states.push_back(of_layer.state);
  Var x = of_layer.output;
  if (lowest) result.fed = attention.attend(x, keys_and_values);
  for (std::size_t i = 1; i < layers.size(); ++i) {
    const Var below = heed::dropout(x, dropout);
    Var own = layers[i].input(below);
    if (lowest) own = context[i - 1](result.fed, own);
    of_layer = layers[i].run(own, states[i]);
    result.states.push_back(of_layer.state);
    x = residual ? add(of_layer.output, below) : of_layer.output;
  }
  if (!lowest) x = result.fed = activate(attention.attend(x, keys_and_values, combine(x)), ActivationKind::tanh);
  result.hidden = x;
  return result;
}

/// One step of all sequences that have not ended at a time; the others stand in it as empty sequences. `fed`: what the
/// first step reads, or empty.
Var AttentionalDecoder::step_by_step(const Var& gates, const Var& keys_and_values, Var fed,
                                     std::vector<Var>& states) const {
  const Sequences& all = gates.sequences();
  std::int64_t longest = 0;
  for (std::int64_t i = 0; i < all.count(); ++i) longest = std::max(longest, all.length(i));
  std::vector<std::vector<std::int64_t>> rows;
  std::vector<Var> hidden, contexts;
  std::vector<std::int64_t> before;  // sequences of the last step
  for (std::int64_t t = 0; t < longest; ++t) {
    auto sequences = std::make_shared<Sequences>();
    std::vector<std::int64_t> now, still;
    std::vector<std::int64_t>& taken = rows.emplace_back();
    for (std::int64_t i = 0; i < all.count(); ++i) {
      if (all.length(i) > t) {
        now.push_back(i);
        taken.push_back(all.begin(i) + t);
      }
      sequences->offsets.push_back(static_cast<std::int64_t>(now.size()));
    }
    Var own = take_rows(gates, taken, sequences);
    if (fed) {
      for (std::size_t j = 0; j < before.size(); ++j)
        if (all.length(before[j]) > t) still.push_back(static_cast<std::int64_t>(j));
      if (t > 0 && still.size() < before.size()) fed = take_rows(fed, still, sequences);
      own = feed(fed.with(sequences), own);
    }
    Step found = step(own, keys_and_values, states);
    fed = found.fed;
    states = std::move(found.states);
    before = std::move(now);
    hidden.push_back(found.hidden);
    contexts.push_back(fed);
  }
  Pass& pass = gates.pass();
  if (!pass.states().empty()) {
    std::vector<std::int64_t> last;
    for (std::int64_t i = 1; i <= all.count(); ++i) last.push_back(all.offsets[static_cast<std::size_t>(i)] - 1);
    heed::remember(take_rows(join_rows(contexts, rows, gates.sequences_pointer()), last, nullptr), all, slots() - 1);
  }
  return join_rows(hidden, rows, gates.sequences_pointer());
}

Var AttentionalDecoder::operator()(Pass& pass, const TokenRows& target, const Var& memory) const {
  const bool remembers = !pass.states().empty();
  if (!memory && !remembers) throw Error("decode: neither the encoded source nor states that know it were given");
  const Var keys_and_values = memory ? attention.project(memory) : Var();
  std::vector<Var> states;
  if (remembers)
    for (std::size_t i = 0; i < layers.size(); ++i)
      states.push_back(remembered(pass, starts[i].weight.shape()[0], 1 + static_cast<int>(i)));
  else
    states = start(memory);
  const Var x = heed::dropout(embedding(pass, target.ids, target.sequences), embedding_dropout);
  const Var gates = layers.front().input(x);
  Var hidden;
  if (feed.weight) {
    const Var fed = remembers ? remembered(pass, layers.front().width(), slots() - 1) : Var();
    hidden = step_by_step(gates, keys_and_values, fed, states);
  } else {
    Step found = step(gates, keys_and_values, states);
    states = std::move(found.states);
    hidden = found.hidden;
  }
  if (remembers)
    for (std::size_t i = 0; i < layers.size(); ++i)
      heed::remember(states[i], *target.sequences, 1 + static_cast<int>(i));
  return heed::dropout(hidden, dropout);
}

}  // namespace heed
