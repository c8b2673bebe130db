#pragma once
#include <heed/copying.h>

namespace heed {

/// One layer: self-attention, then attention to a memory (in a decoder that has one), then a feed-forward network, each
/// with a residual sum and a norm before (pre) or after (post) it. Vaswani et al. 2017; pre-norm: Xiong et al. 2020.
struct TransformerLayer {
  Norm norm1, norm2, norm3;
  SelfAttention attention;
  std::optional<CrossAttention> cross;
  Mlp mlp;
  bool pre_norm = true;
  float dropout = 0.0f;

  TransformerLayer(const ModelConfig& config, bool causal_mask, bool with_cross, int slot, const std::string& name);
  Var operator()(Var x, const Var& relative, const Var* memory) const;
  /// What a norm's result is for: a product, if nothing else reads it.
  static void visit(auto& self, auto&& f) {
    f("norm1", self.norm1), f("attention", self.attention);
    if (self.cross) f("norm2", self.norm2), f("cross", *self.cross);
    f("norm3", self.norm3), f("mlp", self.mlp);
  }

 private:
  template <class Sublayer>
  Var residual(const Var& x, const Norm& norm, const Sublayer& sublayer) const;
};

/// Layers over embedded tokens: an encoder, a decoder, or one side of both.
struct TransformerStack {
  Embedding embedding;
  Weight positions;         ///< learned positions, or nothing
  Weight relative_buckets;  ///< T5's [heads, buckets], shared by the layers, or nothing
  std::optional<Norm> embedding_norm, final_norm;
  std::vector<TransformerLayer> layers;
  ModelConfig config;
  bool causal_mask = false;

  TransformerStack(const ModelConfig& config, std::int64_t entries, std::int64_t layer_count, bool causal_mask,
                   bool with_cross, int first_slot, const std::string& name);
  /// `segments`: [2, width], the embeddings of the tokens' segments, or empty.
  Var operator()(Pass& pass, const TokenRows& tokens, const Var* memory, const Var& segments = {}) const;
  static void visit(auto& self, auto&& f) {
    f("embedding", self.embedding), f("positions", self.positions), f("relative_buckets", self.relative_buckets);
    f("embedding_norm", self.embedding_norm), f("layers", self.layers), f("final_norm", self.final_norm);
  }
};

/// Encoder, decoder or encoder–decoder by configuration.
class Transformer : public Model {
 public:
  Transformer(const ModelConfig& config, const ModelSizes& sizes);
  void visit(const WeightVisitor& visitor) override;
  int slots() const override { return slots_; }
  std::int64_t context() const override { return config_.context; }
  Var encode(Pass& pass, const TokenRows& source) const override;
  Var decode(Pass& pass, const TokenRows& target, const Var& memory) const override;
  void remember(const Var& memory, const TokenRows& source) const override;
  Var summarise(const Var& hidden) const override;
  Var output_weight(Pass& pass) const override { return pass.use(output_.weight); }
  Var output_bias(Pass& pass) const override { return output_.bias ? pass.use(output_.bias) : Var(); }
  Loss loss(const Var& hidden, const Targets& targets) const override;
  Tensor logits(Pass& pass, const Tensor& hidden, std::span<const std::int32_t> sequence_of) const override;

 private:
  ModelConfig config_;
  int slots_ = 0;
  std::optional<TransformerStack> encoder_, decoder_;
  Weight segments_;       ///< question answering: [2, width], or nothing
  Weight pooling_query_;  ///< pooling = "attention": the learned query [1, width]
  std::optional<Linear> pooling_key_value_;
  std::optional<Copying> copying_;
  Linear output_;
};

}  // namespace heed
