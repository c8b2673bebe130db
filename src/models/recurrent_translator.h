#pragma once
#include <heed/copying.h>
#include <heed/recurrent_model.h>

namespace heed {

/// A recurrent decoder that attends to the encoded source, step by step or, where no step reads what the one before it
/// has attended to, layer by layer.
///
/// top: the highest states attend; what is told from is tanh(W·[context; state]) (Luong et al. 2015, arXiv:1508.04025,
/// equation 5), which with input feeding the next step reads (section 3.3). lowest: the lowest states attend, and the
/// context is read by all layers above them (Wu et al. 2016, arXiv:1609.08144, section 3), with input feeding by the
/// lowest at the next step, too.
struct AttentionalDecoder {
  Embedding embedding;
  std::vector<Recurrent> layers;
  CrossAttention attention;
  Linear combine;               ///< top: of the state
  std::vector<Linear> context;  ///< lowest: of the context, to the gates of each layer above the lowest
  Linear feed;                  ///< input feeding: of what was attended to, to the lowest layer's gates
  std::vector<Linear> starts;   ///< from the mean of the source's states to where each layer starts
  bool lowest = false, residual = false;
  float dropout = 0.0f, embedding_dropout = 0.0f;

  AttentionalDecoder() = default;
  AttentionalDecoder(const ModelConfig& config, std::int64_t entries, std::int64_t memory_width);
  /// Slot 0 is the attention's; then one for each layer, then one for what is fed.
  int slots() const { return 2 + static_cast<int>(layers.size()); }
  std::int64_t width() const { return layers.back().width(); }
  /// memory: the encoded source; empty: the pass's states know it.
  Var operator()(Pass& pass, const TokenRows& target, const Var& memory) const;
  void remember(const Var& memory) const;
  static void visit(auto& self, auto&& f) {
    f("embedding", self.embedding), f("layers", self.layers), f("attention", self.attention);
    f("combine", self.combine), f("context", self.context), f("feed", self.feed), f("starts", self.starts);
  }

 private:
  struct Step {
    Var hidden, fed;
    std::vector<Var> states;
  };
  Step step(const Var& gates, const Var& keys_and_values, const std::vector<Var>& states) const;
  Var step_by_step(const Var& gates, const Var& keys_and_values, Var fed, std::vector<Var>& states) const;
  std::vector<Var> start(const Var& memory) const;
};

/// Recurrent encoder → attentional recurrent decoder: translation and summarisation.
class RecurrentTranslator : public Model {
 public:
  RecurrentTranslator(const ModelConfig& config, const ModelSizes& sizes);
  void visit(const WeightVisitor& visitor) override;
  int slots() const override { return decoder_.slots() + (copying_ ? 1 : 0); }
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
  Embedding embedding_;
  RecurrentStack encoder_;
  AttentionalDecoder decoder_;
  std::optional<Copying> copying_;
  Linear output_;
};

}  // namespace heed
