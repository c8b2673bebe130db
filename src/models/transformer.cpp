#include <heed/recurrent_model.h>
#include <heed/transformer.h>

#include <cmath>

#include "models/recurrent_reader.h"
#include "models/recurrent_translator.h"

namespace heed {

namespace {

NormKind norm_kind(const ModelConfig& config) { return config.norm == "rms" ? NormKind::rms : NormKind::layer; }

Norm norm_for(const ModelConfig& config) {
  return Norm(norm_kind(config), config.width, config.bias, static_cast<float>(config.epsilon));
}

AttentionShape attention_shape(const ModelConfig& config, bool self, bool causal_mask, int slot, std::string name) {
  AttentionShape shape;
  shape.width = config.width;
  shape.heads = static_cast<int>(config.heads);
  shape.key_value_heads = static_cast<int>(config.key_value_heads > 0 ? config.key_value_heads : config.heads);
  shape.head_width = static_cast<int>(config.width_of_head());
  shape.bias = config.bias;
  shape.spec.dropout = config.attention_rate();
  if (self) {
    if (causal_mask) shape.spec.mask = causal();
    if (config.window > 0) shape.spec.mask = causal_mask ? causal() & window(config.window) : window(config.window);
    if (config.position == "rotary") shape.rotated = shape.head_width / 2 * 2;
    shape.rotary_base = static_cast<float>(config.rotary_base);
    shape.alibi = config.position == "alibi";
  }
  shape.slot = slot;
  shape.name = std::move(name);
  return shape;
}

}  // namespace

TransformerLayer::TransformerLayer(const ModelConfig& config, bool causal_mask, bool with_cross, int slot,
                                   const std::string& name)
    : norm1(norm_for(config)),
      norm3(norm_for(config)),
      attention(attention_shape(config, true, causal_mask, slot, name + ".attention")),
      mlp(config.width, config.feed_forward > 0 ? config.feed_forward : 4 * config.width,
          activation_named(config.activation), config.gated, config.bias,
          static_cast<float>(config.activation_dropout)),
      pre_norm(config.norm_place == "pre"),
      dropout(static_cast<float>(config.dropout)) {
  if (with_cross) {
    norm2 = norm_for(config);
    cross.emplace(attention_shape(config, false, false, slot < 0 ? -1 : slot + 1, name + ".cross"));
  }
}

template <class Sublayer>
Var TransformerLayer::residual(const Var& x, const Norm& norm, const Sublayer& sublayer) const {
  Pass& pass = x.pass();
  const Var input = pre_norm ? norm(x, pass.product_dtype()) : x;
  // Without dropout the sum is made by the sublayer's last product.
  const Var sum =
      pass.training() && dropout > 0.0f ? add_dropout(x, sublayer(input, Var()), dropout) : sublayer(input, x);
  return pre_norm ? sum : norm(sum);
}

Var TransformerLayer::operator()(Var x, const Var& relative, const Var* memory) const {
  x = residual(x, norm1, [&](const Var& h, const Var& r) { return attention(h, relative, r); });
  if (cross)
    x = residual(x, norm2, [&](const Var& h, const Var& r) { return (*cross)(h, memory ? *memory : Var(), r); });
  return residual(x, norm3, [&](const Var& h, const Var& r) { return mlp(h, r); });
}

TransformerStack::TransformerStack(const ModelConfig& model_config, std::int64_t entries, std::int64_t layer_count,
                                   bool with_causal_mask, bool with_cross, int first_slot, const std::string& name)
    : embedding(entries, model_config.width,
                model_config.embedding_scale ? 1.0f / std::sqrt(static_cast<float>(model_config.width)) : 0.02f,
                model_config.embedding_scale ? std::sqrt(static_cast<float>(model_config.width)) : 1.0f),
      config(model_config),
      causal_mask(with_causal_mask) {
  if (config.position == "learned") positions = Weight({config.context, config.width}, {Initial::Kind::normal, 0.02f});
  if (config.position == "t5")
    relative_buckets = Weight({config.heads, config.relative_buckets}, {Initial::Kind::normal, 0.02f});
  if (config.embedding_norm) embedding_norm = norm_for(config);
  if (config.norm_place != "post" && config.final_norm) final_norm = norm_for(config);
  const int slots_each = with_cross ? 2 : 1;
  for (std::int64_t i = 0; i < layer_count; ++i)
    layers.emplace_back(config, causal_mask, with_cross,
                        first_slot < 0 ? -1 : first_slot + static_cast<int>(i) * slots_each,
                        name + ".layers." + std::to_string(i));
}

Var TransformerStack::operator()(Pass& pass, const TokenRows& tokens, const Var* memory, const Var& segments) const {
  std::int64_t longest = 0;
  for (std::int64_t i = 0; i < tokens.sequences->count(); ++i)
    longest = std::max(longest, tokens.sequences->position(i) + tokens.sequences->length(i));
  Var x = embedding(pass, tokens.ids, tokens.sequences);
  if (segments && !tokens.segments.empty()) x = x + heed::embedding(pass, tokens.segments, tokens.sequences, segments);
  if (positions) x = add_learned_positions(x, pass.use(positions));
  if (config.position == "sinusoidal") x = add_sinusoidal_positions(x);
  if (embedding_norm) x = (*embedding_norm)(x);
  x = dropout(x, config.embedding_rate());
  Var relative;
  if (relative_buckets)
    relative = relative_from_buckets(pass.use(relative_buckets), longest, !causal_mask, config.relative_distance);
  for (const TransformerLayer& layer : layers) x = layer(x, relative, memory);
  return final_norm ? (*final_norm)(x) : x;
}

Transformer::Transformer(const ModelConfig& config, const ModelSizes& sizes) : config_(config) {
  const bool both = config.kind == "encoder-decoder";
  if (config.kind != "decoder") encoder_.emplace(config, sizes.source, config.layers, false, false, -1, "encoder");
  if (config.kind != "encoder") {
    const std::int64_t count = both ? config.layers_of_decoder() : config.layers;
    decoder_.emplace(config, sizes.target, count, true, both, 0, "decoder");
    slots_ = static_cast<int>(count) * (both ? 2 : 1);
  }
  if (both && config.tied == "all") {
    if (sizes.source != sizes.target)
      throw Error("model.tied is \"all\", but the vocabularies have {} and {} entries; set vocabulary.shared = true",
                  sizes.source, sizes.target);
    encoder_->embedding.table = decoder_->embedding.table;
  }
  if (config.copy && both) copying_.emplace(copying_for(sizes, config.width, config.width, slots_++));
  if (decoder_) {
    output_ = Linear(config.width, sizes.target, false,
                     {Initial::Kind::normal, 1.0f / std::sqrt(static_cast<float>(config.width))});
    if (config.tied != "none") output_.weight = decoder_->embedding.table;
  } else {
    output_ = Linear(config.width, sizes.classes, true);
    if (config.segments && sizes.pairs) segments_ = Weight({2, config.width}, {Initial::Kind::normal, 0.02f});
    if (config.pooling == "attention") {
      pooling_query_ = Weight({1, config.width}, {Initial::Kind::normal, 0.02f});
      pooling_key_value_ = Linear(config.width, 2 * config.width, config.bias);
    }
  }
}

void Transformer::visit(const WeightVisitor& visitor) {
  auto part = [&](const std::string& name, auto& module) { detail::visit_part(name, module, visitor); };
  part("encoder", encoder_);
  part("decoder", decoder_);
  part("segments", segments_);
  part("pooling.query", pooling_query_);
  part("pooling.key_value", pooling_key_value_);
  part("copying", copying_);
  part("output", output_);
}

Var Transformer::encode(Pass& pass, const TokenRows& source) const {
  if (!encoder_) throw Error("encode: a decoder-only model has no encoder");
  return (*encoder_)(pass, source, nullptr, segments_ ? pass.use(segments_) : Var());
}

Var Transformer::decode(Pass& pass, const TokenRows& target, const Var& memory) const {
  if (!decoder_) throw Error("decode: an encoder-only model has no decoder");
  return (*decoder_)(pass, target, memory ? &memory : nullptr);
}

void Transformer::remember(const Var& memory, const TokenRows& source) const {
  for (const TransformerLayer& layer : decoder_->layers)
    if (layer.cross) layer.cross->remember(memory);
  if (copying_) copying_->remember(memory, source);
}

Loss Transformer::loss(const Var& hidden, const Targets& targets) const {
  return copying_ ? copying_->loss(*this, hidden, targets) : Model::loss(hidden, targets);
}

Tensor Transformer::logits(Pass& pass, const Tensor& hidden, std::span<const std::int32_t> sequence_of) const {
  const Tensor result = Model::logits(pass, hidden, sequence_of);
  if (copying_) copying_->mix(pass, hidden, result, sequence_of);
  return result;
}

Var Transformer::summarise(const Var& hidden) const {
  Pass& pass = hidden.pass();
  Var summary;
  if (pooling_query_) {
    const std::int64_t count = hidden.sequences().count();
    auto one_each = std::make_shared<Sequences>();
    for (std::int64_t i = 1; i <= count; ++i) one_each->offsets.push_back(i);
    const std::vector<std::int32_t> ids(static_cast<std::size_t>(count), 0);
    const Var query = embedding(pass, ids, one_each, pass.use(pooling_query_));
    AttentionOptions options;
    options.head_width = static_cast<int>(config_.width);
    options.name = "pooling";
    summary = cross_attention(query, (*pooling_key_value_)(hidden), options);
  } else {
    summary = pool(hidden, config_.pooling == "first" ? Pooling::first
                           : config_.pooling == "max" ? Pooling::max
                                                      : Pooling::mean);
  }
  return summary.dtype() == DType::float32 ? dropout(summary, static_cast<float>(config_.dropout)) : summary;
}

std::unique_ptr<Model> make_model(const ModelConfig& config, const ModelSizes& sizes) {
  const std::int64_t heads = config.heads, shared = config.key_value_heads;
  const bool recurrent = config.network != "transformer";
  // Layers with heads: a Transformer's, and of recurrent networks a translator's and a language model's over its
  // states.
  const bool attends =
      !recurrent || config.kind == "encoder-decoder" || (config.kind == "decoder" && config.state_attention != "none");
  if (attends && config.head_width == 0 && config.width % heads != 0)
    throw Error(
        "model.width is {} and model.heads is {}: the width must be a multiple of the heads, or give model.head_width",
        config.width, heads);
  if (shared > 0 && heads % shared != 0)
    throw Error("model.heads is {} and model.key_value_heads is {}: the latter must divide the former", heads, shared);
  if (config.kind != "decoder" && sizes.source < 1)
    throw Error("a model with an encoder needs a vocabulary for its input");
  if (config.kind != "encoder" && sizes.target < 1)
    throw Error("a model with a decoder needs a vocabulary for its output");
  if (config.kind == "encoder" && sizes.classes < 1) throw Error("an encoder needs at least one class to tell");
  const bool classifier = config.kind == "encoder" && !sizes.pairs;
  if ((config.network == "convolution" || config.network == "bag") && !classifier)
    throw Error("model.network is \"{}\", which classifiers have; take transformer, lstm, gru or rnn", config.network);
  if (recurrent && !classifier && (config.ngrams > 1 || config.pool_embeddings || !config.kernel_widths.empty()))
    throw Error("model.ngrams, model.pool_embeddings and model.kernel_widths are for classifiers; leave them out");
  if (recurrent && config.kind == "encoder-decoder") return std::make_unique<RecurrentTranslator>(config, sizes);
  if (recurrent && sizes.pairs) return std::make_unique<RecurrentReader>(config, sizes);
  if (recurrent) return std::make_unique<RecurrentModel>(config, sizes);
  if (config.pooling == "class-attention" || config.pooling == "self-attention" || config.pooling == "last")
    throw Error(
        "model.pooling is \"{}\", which recurrent models have; a Transformer's is mean, first, max or attention",
        config.pooling);
  return std::make_unique<Transformer>(config, sizes);
}

}  // namespace heed
