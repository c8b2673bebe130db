#include <heed/recurrent_model.h>

#include <algorithm>
#include <cmath>

namespace heed {

namespace {

RecurrentCell cell_of(const ModelConfig& config) {
  if (config.network == "lstm") return RecurrentCell::lstm;
  if (config.network == "gru") return config.reset_after ? RecurrentCell::gru_reset_after : RecurrentCell::gru;
  return config.activation == "relu" ? RecurrentCell::relu : RecurrentCell::tanh;
}

/// One query for each sequence.
SequencesPointer one_each(std::int64_t count) {
  auto sequences = std::make_shared<Sequences>();
  for (std::int64_t i = 1; i <= count; ++i) sequences->offsets.push_back(i);
  return sequences;
}

float spread_of(std::int64_t width) { return 1.0f / std::sqrt(static_cast<float>(width)); }

Pooling pooling_named(const ModelConfig& config, bool both_ways) {
  if (config.pooling == "last") return both_ways ? Pooling::ends : Pooling::last;
  return config.pooling == "first" ? Pooling::first : config.pooling == "max" ? Pooling::max : Pooling::mean;
}

}  // namespace

Score score_named(const std::string& name) {
  for (const Score score :
       {Score::scaled_dot, Score::dot, Score::bilinear, Score::cosine, Score::euclidean, Score::additive})
    if (name == name_of(score)) return score;
  throw Error("attention score \"{}\" is unknown: scaled_dot, dot, bilinear, cosine, euclidean and additive are known",
              name);
}

RecurrentStack recurrent_stack(const ModelConfig& config, std::int64_t in, bool encoder, std::int64_t layers,
                               int first_slot) {
  const std::string& way = config.bidirectional;
  if (!encoder && config.kind == "decoder" && (way == "first" || way == "all"))
    throw Error("model.bidirectional is \"{}\", but a language model may not look ahead: \"none\" or \"auto\"", way);
  const std::int64_t both_ways = !encoder || way == "none" ? 0 : way == "first" ? 1 : layers;
  return RecurrentStack({.cell = cell_of(config),
                         .in = in,
                         .hidden = config.width,
                         .direction = Direction::forward,
                         .biases = static_cast<int>(config.gate_biases),
                         .slot = first_slot,
                         .orthogonal = config.recurrent_start == "orthogonal",
                         .dropout = static_cast<float>(config.recurrent_dropout)},
                        layers, both_ways, config.residual, static_cast<float>(config.dropout));
}

RecurrentSummary::RecurrentSummary(const ModelConfig& config, std::int64_t width, std::int64_t classes)
    : pooling(config.pooling) {
  spec.score = score_named(config.pooling_score);
  const bool additive = spec.score == Score::additive;
  if (pooling == "class-attention") {
    if (!additive && spec.score != Score::dot && spec.score != Score::scaled_dot)
      throw Error(
          "model.pooling is \"class-attention\" and model.pooling_score \"{}\"; it takes additive, dot or scaled_dot",
          config.pooling_score);
    // A score with a query that does not change is a linear function of the token, or of its key's tangent.
    if (additive) key = Linear(width, width);
    scores = Linear(width, 2 * classes);
    spec = {};
    spec.score = Score::dot;
  } else {
    // A learned query is compared with the states themselves, but under additive scores.
    if (additive || pooling == "self-attention") key = Linear(width, width);
    if (pooling == "self-attention")
      query = Linear(width, width);
    else
      learned = Weight({1, width}, {Initial::Kind::normal, spread_of(width)});
    if (additive || spec.score == Score::bilinear)
      direction = Weight({additive ? 1 : width, width}, {Initial::Kind::normal, spread_of(width)});
  }
}

Var RecurrentSummary::operator()(const Var& hidden) const {
  Pass& pass = hidden.pass();
  const std::int64_t count = hidden.sequences().count();
  if (pooling == "class-attention") {
    const std::int64_t classes = scores.weight.shape()[0] / 2;
    AttentionOptions options;
    options.spec = spec;
    options.heads = options.key_value_heads = static_cast<int>(classes);
    options.head_width = 1;
    options.name = "pooling";
    Tensor ones = pass.tensor({count, classes});
    ones.fill(1.0f);
    const Var features = key.weight ? activate(key(hidden), ActivationKind::tanh) : hidden;
    const Var logits = cross_attention(pass.input(ones, one_each(count)), scores(features), options);
    return logits;
  }
  const Var vector = direction ? pass.use(direction) : Var();
  if (pooling == "self-attention")
    return pool(attend_to(query(hidden), key(hidden), hidden, vector, spec, "pooling"), Pooling::mean);
  const std::vector<std::int32_t> ids(static_cast<std::size_t>(count), 0);
  const Var queries = embedding(pass, ids, one_each(count), pass.use(learned));
  return attend_to(queries, key.weight ? key(hidden) : hidden, hidden, vector, spec, "pooling");
}

RecurrentModel::RecurrentModel(const ModelConfig& config, const ModelSizes& sizes) : config_(config) {
  const bool encoder = config.kind == "encoder";
  const std::int64_t entries = encoder ? sizes.source : sizes.target;
  const std::int64_t embedded = config.embedded();
  const bool recurrent = config.network != "convolution" && config.network != "bag";
  if (config.layers < 1) throw Error("model.layers is {}; a recurrent model has one or more", config.layers);
  if (config.network == "convolution" && config.kernel_widths.empty())
    throw Error("model.network is \"convolution\": model.kernel_widths must name a width, such as [3, 4, 5]");
  embedding_ = Embedding(entries, embedded, spread_of(embedded));
  if (config.ngrams > 1) ngrams_.table = Weight({config.ngram_buckets, embedded});  // 0: what is not met adds nothing
  std::int64_t width = embedded;
  const std::int64_t convolutions = config.network == "convolution"                           ? config.layers
                                    : config.network == "bag" || config.kernel_widths.empty() ? 0
                                                                                              : 1;
  for (std::int64_t i = 0; i < convolutions; ++i) {
    convolutions_.emplace_back(width, config.filters > 0 ? config.filters : config.width, config.kernel_widths,
                               activation_named(config.activation));
    width = convolutions_.back().width();
  }
  if (recurrent) {
    stack_ = recurrent_stack(config, width, encoder, config.layers, encoder ? -1 : 0);
    width = stack_.width();
  }
  if (config.pool_embeddings && config.network != "bag") {
    if (config.pooling == "last") throw Error("model.pool_embeddings does not go with model.pooling = \"last\"");
    width += embedded;
  }
  if (encoder) {
    if (config.pooling.ends_with("attention")) summary_.emplace(config, width, sizes.classes);
    output_ = Linear(width, sizes.classes, true);
    if (config.pooling != "class-attention") return;
    output_.weight = Weight();
    identity_ = Tensor({sizes.classes, sizes.classes});
    for (std::int64_t i = 0; i < sizes.classes; ++i) identity_.floats()[i * (sizes.classes + 1)] = 1.0f;
    return;
  }
  slots_ = static_cast<int>(config.layers);
  if (config.state_attention != "none") {
    AttentionShape shape;
    shape.width = width;
    shape.heads = shape.key_value_heads = static_cast<int>(config.heads);
    shape.head_width = static_cast<int>(config.width_of_head());
    shape.bias = config.bias;
    shape.spec.score = score_named(config.state_attention);
    shape.spec.mask = config.window > 0 ? causal() & window(config.window) : causal();
    shape.spec.dropout = config.attention_rate();
    shape.slot = slots_++;
    shape.name = "decoder.attention";
    attention_.emplace(shape);
  }
  output_ = Linear(width, entries, config.bias);
  if (config.tied == "none") return;
  if (embedded != width)
    throw Error(
        "model.tied is \"{}\", but embeddings are {} wide and the last layer's states {}: set model.tied = \"none\"",
        config.tied, embedded, width);
  output_.weight = embedding_.table;
}

void RecurrentModel::visit(const WeightVisitor& visitor) {
  const std::string side = config_.kind;
  auto part = [&](const std::string& name, auto& module) { detail::visit_part(name, module, visitor); };
  part(side + ".embedding", embedding_);
  part(side + ".ngrams", ngrams_.table);
  part(side + ".convolutions", convolutions_);
  part(side, stack_);
  part(side + ".attention", attention_);
  part("pooling", summary_);
  part("output", output_);
}

std::vector<std::int32_t> ngram_buckets(std::span<const std::int32_t> ids, const Sequences& sequences,
                                        std::int64_t tokens, std::int64_t buckets) {
  std::vector<std::int32_t> found;
  found.reserve(ids.size());
  for (std::int64_t i = 0; i < sequences.count(); ++i)
    for (std::int64_t t = 0; t < sequences.length(i); ++t) {
      RandomKey key{static_cast<std::uint64_t>(tokens)};
      for (std::int64_t n = t - tokens + 1; n <= t; ++n)
        key = key.fold(static_cast<std::uint64_t>(
            ids[static_cast<std::size_t>(sequences.begin(i) + std::max<std::int64_t>(n, 0))]));
      found.push_back(static_cast<std::int32_t>(uniform_index(key, 0, buckets)));
    }
  return found;
}

Var RecurrentModel::embedded(Pass& pass, const TokenRows& tokens) const {
  std::vector<std::int32_t> dropped;
  std::span<const std::int32_t> ids = tokens.ids;
  if (pass.training() && config_.word_dropout > 0.0) {
    const RandomKey key = pass.next_key();
    dropped.assign(ids.begin(), ids.end());
    for (std::size_t i = 0; i < dropped.size(); ++i)
      if (uniform(key, i) < static_cast<float>(config_.word_dropout)) dropped[i] = 0;  // the unknown token
    ids = dropped;
  }
  Var x = embedding_(pass, ids, tokens.sequences);
  for (std::int64_t n = 2; n <= config_.ngrams; ++n)
    x = add(x, ngrams_(pass, ngram_buckets(ids, *tokens.sequences, n, config_.ngram_buckets), tokens.sequences));
  return x;
}

Var RecurrentModel::states_of(Pass& pass, const TokenRows& tokens) const {
  const auto between = static_cast<float>(config_.dropout);
  const Var bottom = dropout(embedded(pass, tokens), config_.embedding_rate());
  Var x = bottom;
  for (const Convolution& convolution : convolutions_) {
    const Var below = &convolution == &convolutions_.front() ? x : dropout(x, between);
    x = convolution(below);
    if (config_.residual && x.width() == below.width()) x = add(x, below);
  }
  if (!stack_.layers.empty()) x = stack_(convolutions_.empty() ? x : dropout(x, between)).output;
  return config_.pool_embeddings && config_.network != "bag" ? beside(x, bottom) : x;
}

Var RecurrentModel::encode(Pass& pass, const TokenRows& source) const {
  if (config_.kind != "encoder") throw Error("encode: a decoder-only model has no encoder");
  return states_of(pass, source);
}

Var RecurrentModel::decode(Pass& pass, const TokenRows& target, const Var&) const {
  if (config_.kind != "decoder") throw Error("decode: an encoder-only model has no decoder");
  Var x = states_of(pass, target);
  if (attention_) x = (*attention_)(x, Var(), x);
  return dropout(x, static_cast<float>(config_.dropout));
}

void RecurrentModel::remember(const Var&, const TokenRows&) const {}

Var RecurrentModel::summarise(const Var& hidden) const {
  if (identity_) return (*summary_)(dropout(hidden, static_cast<float>(config_.dropout)));
  const bool both_ways = !stack_.layers.empty() && stack_.layers.back().shape.direction == Direction::both;
  return dropout(summary_ ? (*summary_)(hidden) : pool(hidden, pooling_named(config_, both_ways)),
                 static_cast<float>(config_.dropout));
}

Var RecurrentModel::output_weight(Pass& pass) const {
  return identity_ ? pass.input(identity_) : pass.use(output_.weight);
}

}  // namespace heed
