#pragma once
#include <heed/model_config.h>
#include <heed/nn.h>

#include <memory>
#include <string>
#include <vector>

namespace heed {

/// How many entries a model's vocabularies have, and classes it tells apart.
struct ModelSizes {
  std::int64_t source = 0;   ///< entries of the input's vocabulary (an encoder's)
  std::int64_t target = 0;   ///< entries of the output's vocabulary (a decoder's)
  std::int64_t classes = 0;  ///< a classifier's; question answering: 2, an answer's first and last token
  bool pairs = false;        ///< the input is a question and a passage (encode_pair)
  bool operator==(const ModelSizes&) const = default;
};

/// Rows and sequences of token ids, as a model takes them.
struct TokenRows {
  std::span<const std::int32_t> ids;
  SequencesPointer sequences;
  /// Of a pair: 0 for each token of the question, 1 of the passage; or empty.
  std::span<const std::int32_t> segments{};
};

/// What rows of hidden states should tell, and what they were made from.
struct Targets {
  std::span<const std::int32_t> ids;  ///< an entry or class for each row; −1 is not counted
  float label_smoothing = 0.0f;
  std::span<const float> row_weights;  ///< as cross_entropy's, or empty
  TokenRows source;                    ///< encoder–decoders: what `encode` was given
  Var memory;                          ///< and what it has given
};

/// A network of any kind, as the rooms below see it: what trains, evaluates, generates and explains runs these same
/// functions. All of them are const; whatever belongs to a run is in the Pass.
class Model {
 public:
  virtual ~Model() = default;
  /// Every weight, in one fixed order, a tied one once for each of its names.
  virtual void visit(const WeightVisitor& visitor) = 0;
  /// Slots that a State must have.
  virtual int slots() const = 0;
  virtual std::int64_t context() const = 0;

  /// Hidden states of the input, one row a token. Encoders and encoder–decoders.
  virtual Var encode(Pass& pass, const TokenRows& source) const = 0;
  /// Hidden states of the output so far, from which `output_weight` makes the next token's logits. `memory`: the
  /// encoded source, or empty (a language model; or what `remember` has left in the states).
  virtual Var decode(Pass& pass, const TokenRows& target, const Var& memory) const = 0;
  /// Puts what later passes need of the encoded source into the pass's states.
  /// `source`: what the memory was made from.
  virtual void remember(const Var& memory, const TokenRows& source) const = 0;
  /// Hidden states of passages in the light of their questions, one row a token of `passage`, from which
  /// `output_weight` makes the scores of an answer's first and last token: [tokens, 2]. Each question goes with the
  /// passage of the same number. Unless a network has its own way of comparing the two, each pair is encoded as one
  /// sequence.
  virtual Var encode_pair(Pass& pass, const TokenRows& question, const TokenRows& passage) const;
  /// One row a sequence from encoded rows, from which `output_weight` makes the classes' logits.
  virtual Var summarise(const Var& hidden) const = 0;
  /// The last projection: [entries or classes, width], and its bias or an empty Var.
  virtual Var output_weight(Pass& pass) const = 0;
  virtual Var output_bias(Pass& pass) const = 0;
  /// The loss of telling the targets from rows that `decode` or `summarise` has given. Unless a network has its own
  /// distribution, the softmax of the last projection.
  virtual Loss loss(const Var& hidden, const Targets& targets) const;
  /// Logits of rows that `decode` has given, which may differ from log-probabilities by a constant in each row: [rows,
  /// entries], float32. Row i belongs to sequence sequence_of[i] of the pass, whose state tells the source.
  virtual Tensor logits(Pass& pass, const Tensor& hidden, std::span<const std::int32_t> sequence_of) const;

  /// Distinct weights in visit order.
  std::vector<std::pair<std::string, Weight>> weights();
  std::int64_t parameters();
  /// First values of all weights: the n-th drawn from key.fold(n).
  void initialise(RandomKey key);
};

/// Throws Error naming the key of the recipe when the configuration does not fit together.
std::unique_ptr<Model> make_model(const ModelConfig& config, const ModelSizes& sizes);

/// A row of `heed info`: a layer with its shapes, parameters, and multiply-adds for one token (attention's own at the
/// given length).
struct LayerRow {
  std::string name, kind, shape;
  std::int64_t parameters = 0;
  std::int64_t multiply_adds = 0;
};
std::vector<LayerRow> layer_table(Model& model, const ModelConfig& config, std::int64_t length);

}  // namespace heed
