#include "models/recurrent_translator.h"

namespace heed {

RecurrentTranslator::RecurrentTranslator(const ModelConfig& config, const ModelSizes& sizes) : config_(config) {
  const std::int64_t embedded = config.embedded();
  const float spread = 1.0f / std::sqrt(static_cast<float>(embedded));
  embedding_ = Embedding(sizes.source, embedded, spread);
  encoder_ = recurrent_stack(config, embedded, true, config.layers, -1);
  decoder_ = AttentionalDecoder(config, sizes.target, encoder_.width());
  output_ = Linear(decoder_.width(), sizes.target, config.bias);
  if (config.copy) copying_.emplace(copying_for(sizes, decoder_.width(), encoder_.width(), decoder_.slots()));
  if (config.tied == "none") return;
  if (embedded != decoder_.width())
    throw Error(
        "model.tied is \"{}\", but embeddings are {} wide and the decoder's states {}: set model.tied = \"none\"",
        config.tied, embedded, decoder_.width());
  if (config.tied == "all") {
    if (sizes.source != sizes.target)
      throw Error(
          "model.tied is \"all\", but the source has {} entries and the target {}: one shared vocabulary is "
          "needed",
          sizes.source, sizes.target);
    decoder_.embedding.table = embedding_.table;
  }
  output_.weight = decoder_.embedding.table;
}

void RecurrentTranslator::visit(const WeightVisitor& visitor) {
  auto part = [&](const std::string& name, auto& module) { detail::visit_part(name, module, visitor); };
  part("encoder.embedding", embedding_);
  part("encoder", encoder_);
  part("decoder", decoder_);
  part("copying", copying_);
  part("output", output_);
}

Var RecurrentTranslator::encode(Pass& pass, const TokenRows& source) const {
  const Var x = dropout(embedding_(pass, source.ids, source.sequences), config_.embedding_rate());
  return dropout(encoder_(x).output, static_cast<float>(config_.dropout));
}

Var RecurrentTranslator::decode(Pass& pass, const TokenRows& target, const Var& memory) const {
  return decoder_(pass, target, memory);
}

void RecurrentTranslator::remember(const Var& memory, const TokenRows& source) const {
  decoder_.remember(memory);
  if (copying_) copying_->remember(memory, source);
}

Var RecurrentTranslator::summarise(const Var& hidden) const { return pool(hidden, Pooling::mean); }

Loss RecurrentTranslator::loss(const Var& hidden, const Targets& targets) const {
  return copying_ ? copying_->loss(*this, hidden, targets) : Model::loss(hidden, targets);
}

Tensor RecurrentTranslator::logits(Pass& pass, const Tensor& hidden, std::span<const std::int32_t> sequence_of) const {
  const Tensor result = Model::logits(pass, hidden, sequence_of);
  if (copying_) copying_->mix(pass, hidden, result, sequence_of);
  return result;
}

}  // namespace heed
