#pragma once
#include <heed/ops.h>

#include <optional>
#include <string>
#include <vector>

namespace heed {

// Layers: weights and the function that uses them. A layer is const in a pass; `visit` names its weights once, for
// initialising, loading, saving, optimising and counting alike.

/// y = x·Wᵀ + bias; weight [out, in].
struct Linear {
  Weight weight, bias;
  Linear() = default;
  /// Weights start uniform in ±sqrt(6/(in + out)) (Glorot & Bengio 2010, eq. 16) unless told otherwise.
  Linear(std::int64_t in, std::int64_t out, bool with_bias = true);
  Linear(std::int64_t in, std::int64_t out, bool with_bias, Initial initial);
  Var operator()(const Var& x, DType result = DType::float32) const;
  /// residual + the product.
  Var operator()(const Var& x, const Var& residual) const;
  static void visit(auto& self, auto&& f) { f("weight", self.weight), f("bias", self.bias); }
};

/// Rows of a table by id; [entries, width].
struct Embedding {
  Weight table;
  float scale = 1.0f;
  Embedding() = default;
  /// Starts normal with deviation `spread`.
  Embedding(std::int64_t entries, std::int64_t width, float spread, float scale = 1.0f);
  Var operator()(Pass& pass, std::span<const std::int32_t> ids, SequencesPointer sequences) const;
  static void visit(auto& self, auto&& f) { f("table", self.table); }
};

enum class NormKind : unsigned char { layer, rms };

/// LayerNorm or RMSNorm over the last dimension.
struct Norm {
  NormKind kind = NormKind::layer;
  float epsilon = 1e-5f;
  Weight gain, bias;
  Norm() = default;
  Norm(NormKind kind, std::int64_t width, bool with_bias, float epsilon);
  Var operator()(const Var& x, DType result = DType::float32) const;
  static void visit(auto& self, auto&& f) { f("gain", self.gain), f("bias", self.bias); }
};

/// Feed-forward network: down(f(up(x))), or down(f(gate(x))·up(x)) where gate and up are one matrix.
struct Mlp {
  Linear up, down;
  ActivationKind activation = ActivationKind::gelu;
  bool with_gate = false;
  float dropout = 0.0f;
  Mlp() = default;
  Mlp(std::int64_t width, std::int64_t inner, ActivationKind activation, bool with_gate, bool with_bias, float dropout);
  /// Without `residual` the network alone, else residual + network.
  Var operator()(const Var& x, const Var& residual = {}) const;
  static void visit(auto& self, auto&& f) { f("up", self.up), f("down", self.down); }
};

/// What a multi-head attention layer is made of.
struct AttentionShape {
  std::int64_t width = 0;
  std::int64_t memory_width = 0;  ///< cross-attention: of the other side's states; 0: as width
  int heads = 1;
  int key_value_heads = 1;
  int head_width = 0;
  bool bias = true;
  AttentionSpec spec;
  int rotated = 0;
  float rotary_base = 10000.0f;
  bool alibi = false;
  int slot = -1;  ///< its place in a State; −1 remembers nothing (an encoder)
  std::string name;
};

/// Multi-head self-attention: one product for queries, keys and values (rows in that order), one after it.
struct SelfAttention {
  Linear qkv, out;
  AttentionShape shape;
  SelfAttention() = default;
  explicit SelfAttention(AttentionShape shape);
  /// `relative`: bias by distance, or empty. `residual` is added to the result, unless empty.
  Var operator()(const Var& x, const Var& relative = {}, const Var& residual = {}) const;
  static void visit(auto& self, auto&& f) { f("qkv", self.qkv), f("out", self.out); }

 private:
  Tensor slopes_;
};

/// Multi-head attention of one side's queries over another side's keys and values.
struct CrossAttention {
  Linear query, key_value, out;
  Weight direction;  ///< additive scores' vector of each head, or nothing
  AttentionShape shape;
  CrossAttention() = default;
  explicit CrossAttention(AttentionShape shape);
  /// memory: the other side's states; empty: what `remember` has put into the pass's states.
  Var operator()(const Var& x, const Var& memory, const Var& residual = {}) const;
  /// Keys and values of a memory, for many calls of `attend`.
  Var project(const Var& memory) const;
  /// The same with what `project` has given (empty: what the pass's states hold).
  Var attend(const Var& x, const Var& keys_and_values, const Var& residual = {}) const;
  /// Projects the memory of each sequence once, into its State's slot.
  void remember(const Var& memory) const;
  static void visit(auto& self, auto&& f) {
    f("query", self.query), f("key_value", self.key_value), f("direction", self.direction), f("out", self.out);
  }
};

/// Convolutions of several kernel widths side by side, then an activation (Kim 2014, arXiv:1408.5882).
struct Convolution {
  std::vector<Linear> kernels;       ///< of each width: [filters, width·in]
  std::vector<std::int64_t> widths;  ///< tokens that a kernel spans
  ActivationKind activation = ActivationKind::relu;
  Convolution() = default;
  Convolution(std::int64_t in, std::int64_t filters, std::vector<std::int64_t> widths, ActivationKind activation);
  Var operator()(const Var& x) const;
  std::int64_t width() const;
  static void visit(auto& self, auto&& f) { f("kernels", self.kernels); }
};

/// What a recurrent layer is made of.
struct RecurrentShape {
  RecurrentCell cell = RecurrentCell::lstm;
  std::int64_t in = 0;
  std::int64_t hidden = 0;  ///< of each direction
  Direction direction = Direction::forward;
  int biases = 1;           ///< of each gate: one, of the input's product, or one of the state's product, too
  int slot = -1;            ///< its place in a State; −1 remembers nothing
  bool orthogonal = false;  ///< the states' matrix starts with orthogonal gates
  float dropout = 0.0f;     ///< of entries of the states' matrix, drawn once a call (DropConnect: Wan et al. 2013)
};

/// A recurrent layer: one product of all tokens' inputs, then step by step that of the states.
struct Recurrent {
  Linear input;         ///< W: [directions·gates·hidden, in], and its bias
  Weight weight, bias;  ///< U: [directions·gates·hidden, hidden]; its products' bias, or nothing
  RecurrentShape shape;
  Recurrent() = default;
  /// Matrices start uniform in ±1/sqrt(hidden) (that of the states orthogonal if asked), biases at 0, but an LSTM's
  /// forget gates at 1 (Jozefowicz et al. 2015).
  explicit Recurrent(const RecurrentShape& shape);
  /// `state`: where each sequence starts, as the result's; empty: what the pass's states hold for its slot, else zeros.
  /// With a slot, the pass's states are told where each sequence ends, which carries no gradient.
  RecurrentResult operator()(const Var& x, const Var& state = {}) const;
  /// The same from gates = input(x) and whatever is added to them (fresh); the pass's states are left alone, and no
  /// weight is dropped: calls for single steps would draw one another's.
  RecurrentResult run(const Var& gates, const Var& state) const;
  std::int64_t width() const { return weight.shape()[1] * (shape.direction == Direction::both ? 2 : 1); }
  static void visit(auto& self, auto&& f) { f("input", self.input), f("weight", self.weight), f("bias", self.bias); }
};

/// Recurrent layers one upon the other.
struct RecurrentStack {
  std::vector<Recurrent> layers;
  bool residual = false;  ///< a layer as wide as its input adds it (Wu et al. 2016, arXiv:1609.08144, section 3.1)
  float dropout = 0.0f;   ///< rate between layers
  RecurrentStack() = default;
  /// `first`: the lowest layer's shape. The lowest `both_ways` layers go in both directions, the others in that of
  /// `first`; slots count on from the first's.
  RecurrentStack(const RecurrentShape& first, std::int64_t layer_count, std::int64_t both_ways, bool residual,
                 float dropout);
  struct Result {
    Var output;               ///< of the highest layer: [tokens, width()]
    std::vector<Var> states;  ///< final ones, of each layer from the lowest
  };
  /// `states`: as the result's, or none.
  Result operator()(const Var& x, std::span<const Var> states = {}) const;
  std::int64_t width() const { return layers.back().width(); }
  static void visit(auto& self, auto&& f) { f("layers", self.layers); }
};

}  // namespace heed
