#pragma once
#include <heed/model.h>

namespace heed {

/// One row a sequence from hidden states, by the recipe's pooling. What attention looks at is shown to a probe as
/// "pooling".
struct RecurrentSummary {
  Linear query, key;  ///< self-attention: of each token; additive scores: the key alone
  Weight learned;     ///< the learned query, [1, key width]
  Weight direction;   ///< additive scores', or bilinear scores' matrix
  Linear scores;      ///< a query a class: [scores | values] of each class
  std::string pooling;
  AttentionSpec spec;
  RecurrentSummary() = default;
  RecurrentSummary(const ModelConfig& config, std::int64_t width, std::int64_t classes);
  /// [sequences, width]; with a query a class [sequences, classes]: the classes' logits.
  Var operator()(const Var& hidden) const;
  static void visit(auto& self, auto&& f) {
    f("query", self.query), f("key", self.key), f("learned", self.learned), f("direction", self.direction);
    f("scores", self.scores);
  }
};

/// Embedding → recurrent layers: a language model (with causal attention over the states, if asked), or a classifier,
/// which pools the states. A classifier may have convolutions beneath the recurrent layers, or in their place, or
/// neither. Embeddings may be those of tokens and of n-grams (Joulin et al. 2016, arXiv:1607.01759).
class RecurrentModel : public Model {
 public:
  RecurrentModel(const ModelConfig& config, const ModelSizes& sizes);
  void visit(const WeightVisitor& visitor) override;
  int slots() const override { return slots_; }
  std::int64_t context() const override { return config_.context; }
  Var encode(Pass& pass, const TokenRows& source) const override;
  Var decode(Pass& pass, const TokenRows& target, const Var& memory) const override;
  void remember(const Var& memory, const TokenRows& source) const override;
  Var summarise(const Var& hidden) const override;
  Var output_weight(Pass& pass) const override;
  Var output_bias(Pass& pass) const override { return output_.bias ? pass.use(output_.bias) : Var(); }

 private:
  Var states_of(Pass& pass, const TokenRows& tokens) const;
  Var embedded(Pass& pass, const TokenRows& tokens) const;

  ModelConfig config_;
  int slots_ = 0;
  Embedding embedding_, ngrams_;
  std::vector<Convolution> convolutions_;
  RecurrentStack stack_;
  std::optional<SelfAttention> attention_;
  std::optional<RecurrentSummary> summary_;
  Tensor identity_;  ///< what makes logits of logits
  Linear output_;
};

/// For each token the bucket, from 0 below `buckets`, of the group of so many tokens that ends with it; a sequence is
/// as if the same token stood before it many times.
std::vector<std::int32_t> ngram_buckets(std::span<const std::int32_t> ids, const Sequences& sequences,
                                        std::int64_t tokens, std::int64_t buckets);

/// "scaled_dot", "dot", "bilinear", "cosine", "euclidean" or "additive". Throws Error listing them.
Score score_named(const std::string& name);

/// The layers that the recipe's keys describe: `encoder` as an encoder's, else one way. `first_slot`: −1 remembers
/// nothing.
RecurrentStack recurrent_stack(const ModelConfig& config, std::int64_t in, bool encoder, std::int64_t layers,
                               int first_slot);

}  // namespace heed
