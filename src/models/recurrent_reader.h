#pragma once
#include <heed/recurrent_model.h>

namespace heed {

/// Question answering by recurrent layers: passage and question are compared by attention, and where an answer starts
/// and ends is told by a second reading of the passage.
///
/// Both go through one embedding and one stack of layers. A passage's token also carries whether the question has it
/// and what of the question is nearest to it (Chen et al. 2017, arXiv:1704.00051, section 3.2). Its state p then looks
/// at the question's states, a = Σ αq, and the two are compared, max(0, W·[p; a; p∘a]) (Seo et al. 2017,
/// arXiv:1611.01603, equation 1; the projection of Clark & Gardner 2018, arXiv:1710.10723). A last layer reads the
/// comparisons, m, and the scores are linear in m∘(1 + U·s), where s is the question in one vector.
class RecurrentReader : public Model {
 public:
  RecurrentReader(const ModelConfig& config, const ModelSizes& sizes);
  void visit(const WeightVisitor& visitor) override;
  int slots() const override { return 0; }
  std::int64_t context() const override { return config_.context; }
  /// Hidden states of texts read as questions are.
  Var encode(Pass& pass, const TokenRows& source) const override;
  Var encode_pair(Pass& pass, const TokenRows& question, const TokenRows& passage) const override;
  Var decode(Pass& pass, const TokenRows& target, const Var& memory) const override;
  void remember(const Var& memory, const TokenRows& source) const override;
  Var summarise(const Var& hidden) const override;
  Var output_weight(Pass& pass) const override { return pass.use(output_.weight); }
  Var output_bias(Pass& pass) const override { return pass.use(output_.bias); }

 private:
  /// What one side's rows see of the other's: both are projected and compared by the recipe's score.
  struct Look {
    Linear query, key;
    Weight direction;  ///< additive scores'
    AttentionSpec spec;
    Look() = default;
    Look(const ModelConfig& config, std::int64_t width);
    Var operator()(const Var& from, const Var& at, const std::string& name) const;
    static void visit(auto& self, auto&& f) {
      f("query", self.query), f("key", self.key), f("direction", self.direction);
    }
  };
  Var embedded(Pass& pass, const TokenRows& tokens) const;

  ModelConfig config_;
  float dropout_;
  Embedding embedding_, match_;
  Look word_look_, look_;
  Linear aligned_;
  RecurrentStack stack_;
  Linear from_passage_, from_question_, from_product_;
  RecurrentStack reading_;
  RecurrentSummary summary_;
  Linear gate_, output_;
};

}  // namespace heed
