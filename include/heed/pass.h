#pragma once
#include <heed/arena.h>
#include <heed/attention.h>
#include <heed/weight.h>

#include <functional>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace heed {

class Pass;
class Var;

/// How packed rows divide into sequences. Inside a model an activation is [tokens, width]: the tokens of all sequences,
/// one after another, no padding.
struct Sequences {
  std::vector<std::int64_t> offsets{0};  ///< sequence i is rows [offsets[i], offsets[i + 1])
  std::vector<std::int64_t> positions;   ///< position of each sequence's first token; empty: all 0

  std::int64_t count() const { return static_cast<std::int64_t>(offsets.size()) - 1; }
  std::int64_t tokens() const { return offsets.back(); }
  std::int64_t begin(std::int64_t i) const { return offsets[static_cast<std::size_t>(i)]; }
  std::int64_t length(std::int64_t i) const { return offsets[static_cast<std::size_t>(i) + 1] - begin(i); }
  std::int64_t position(std::int64_t i) const { return positions.empty() ? 0 : positions[static_cast<std::size_t>(i)]; }
};
using SequencesPointer = std::shared_ptr<const Sequences>;

/// What one sequence remembers between passes: one slot for each use of a layer that remembers. Copying forks it (a
/// beam, a snapshot); its length moves only when the session commits, so a pass that fails leaves nothing behind.
struct State {
  struct Slot {
    KeyValueCache cache;  ///< attention
    /// Recurrent layers: [state width] after so many tokens. Two, so that what a failed pass has left is passed over.
    struct {
      Tensor value;
      std::int64_t length = -1;
    } recurrent[2];
  };
  std::vector<Slot> slots;
  std::int64_t length = 0;  ///< committed tokens; a slot may hold more only while a pass runs

  explicit State(int slot_count = 0) : slots(static_cast<std::size_t>(slot_count)) {}
  /// The length back to `tokens`, which must not exceed it (speculation). The slots follow at the next pass.
  void roll_back(std::int64_t tokens);
};

/// Looks into a pass: asked for the weights of an attention layer, it is given the problem to compute them from.
class Probe {
 public:
  virtual ~Probe() = default;
  /// `name` is the layer's (such as "decoder.layers.1.cross"); nothing is computed unless the probe does
  /// (heed/attention_inspection.h), with the threads of the pass.
  virtual void attention(const std::string& name, const AttentionProblem& problem, ThreadPool& pool) = 0;
};

/// The gradients of weights, in one buffer in the order given: what an optimiser reads and several processes average.
class WeightGradients {
 public:
  explicit WeightGradients(const std::vector<Weight>& weights);
  /// Forgets all gradients; the next one of each weight is written, not added.
  void clear();
  /// The weight's gradient, float32, or an empty tensor when it is not among them. Zero where no pass reached it.
  const Tensor& of(const Weight& weight) const;
  const Tensor& buffer() const { return buffer_; }
  /// Writes zeros where no pass has written since clear().
  void finish();

 private:
  friend class Gradients;
  friend class Pass;
  struct Slot {
    Tensor gradient;
    bool written = false;
  };
  Slot* find(const Weight::Record* record);
  Tensor buffer_;
  std::vector<Slot> slots_;
  std::unordered_map<const Weight::Record*, std::size_t> index_;
};

/// Where a backward puts the gradient of one of its inputs: float32 of the input's shape. False when nobody asked.
struct GradientTarget {
  View view;
  bool accumulate = false;
  explicit operator bool() const { return view.data != nullptr; }
  float* floats() const { return view.floats(); }
};

/// Handed to an operator's backward.
class Gradients {
 public:
  /// Where the gradient of x goes. Once for each input and call: what is given must be written (or added to).
  GradientTarget to(const Var& x);
  /// The gradient of x is dy itself, in another shape perhaps: shares the memory where it can.
  void pass_on(const Var& x, const Tensor& dy);
  bool wanted(const Var& x) const;

 private:
  friend class Pass;
  explicit Gradients(Pass& pass) : pass_(pass) {}
  Pass& pass_;
};

using Backward = std::function<void(const Tensor& dy, Gradients& gradients)>;

/// A value of a running pass: rows of a tensor, where it came from, and how its rows divide into sequences.
class Var {
 public:
  Var() = default;
  explicit operator bool() const { return static_cast<bool>(value_); }
  const Tensor& value() const { return value_; }
  const Shape& shape() const { return value_.shape(); }
  std::int64_t tokens() const { return value_.rows(); }
  std::int64_t width() const { return value_.width(); }
  DType dtype() const { return value_.dtype(); }
  /// The pass it belongs to. Throws Error when that pass has ended: `keep()` copies a value out before.
  Pass& pass() const;
  /// Throws Error when the value has none (a weight, a pooled row).
  const Sequences& sequences() const;
  const SequencesPointer& sequences_pointer() const { return sequences_; }
  /// The same value with its rows divided otherwise.
  Var with(SequencesPointer sequences) const;
  /// The same place on the tape without the elements: what a backward that needs no values should capture, so that
  /// their memory is free for others.
  Var place() const;
  /// A copy in memory of its own, which outlives the pass.
  Tensor keep() const { return value_.clone(); }

 private:
  friend class Pass;
  friend class Gradients;
  struct Life {
    Pass* pass = nullptr;
  };
  Tensor value_;
  SequencesPointer sequences_;
  std::shared_ptr<Life> life_;
  int node_ = -1;
};

/// A number that training makes smaller: a sum over `count` predictions, computed where the backward can start from it.
struct Loss {
  Var sum;                               ///< [1]; with label smoothing, over counted positions
  double total = 0.0;                    ///< the value of `sum`, in float64
  double negative_log_likelihood = 0.0;  ///< the same sum without smoothing: perplexity is exp of it over count
  std::int64_t count = 0;
  std::int64_t correct = 0;  ///< predictions whose likeliest class is the target
};

/// What products of a pass are rounded to before they are multiplied. Everything else is float32.
enum class Precision : unsigned char { float32, bfloat16 };
/// bfloat16 where the processor multiplies it faster than float32, else float32.
Precision best_precision();

struct PassOptions {
  bool training = false;  ///< drop-out is drawn and a tape is kept
  Precision precision = Precision::float32;
  RandomKey key;                         ///< of all that is random in this pass: fold in the step
  WeightGradients* gradients = nullptr;  ///< which weights get gradients; null: none, and no tape is kept for them
  std::vector<State*> states;            ///< one for each sequence, or none
  Probe* probe = nullptr;
  /// Called with every operator's result and the weight that was used last before it: for finding where a value went
  /// wrong.
  std::function<void(const Tensor& result, const Weight::Record* last_weight)> watch;
};

/// One run through a model: borrows the arena and the threads, owns the tape. Models are const and find everything that
/// belongs to a run here, so two passes can run one model in two threads.
class Pass {
 public:
  Pass(Arena& arena, ThreadPool& pool, PassOptions options = {});
  ~Pass();
  Pass(const Pass&) = delete;
  Pass& operator=(const Pass&) = delete;

  ThreadPool& pool() { return pool_; }
  bool training() const { return options_.training; }
  Precision precision() const { return options_.precision; }
  /// What an operator whose result only feeds products should store: bfloat16 when products take it, else float32.
  DType product_dtype() const { return precision() == Precision::bfloat16 ? DType::bfloat16 : DType::float32; }
  const std::vector<State*>& states() const { return options_.states; }
  Probe* probe() const { return options_.probe; }
  /// The key of the next random operator: the same for the same call of the same pass, whatever else happened.
  RandomKey next_key() { return options_.key.fold(random_calls_++); }

  /// A value from outside, which gets a gradient only when `wants_gradient` (see gradient_of).
  Var input(Tensor value, SequencesPointer sequences = nullptr, bool wants_gradient = false);
  /// A weight as a value; its gradient goes to the pass's WeightGradients.
  Var use(const Weight& weight);

  // For operators:
  /// Uninitialised memory of the pass.
  Tensor tensor(Shape shape, DType dtype = DType::float32) { return arena_.tensor(shape, dtype); }
  /// Registers y = f(inputs). The backward is kept only when one of the inputs wants a gradient. y has the sequences of
  /// the first input.
  Var record(Tensor y, std::initializer_list<const Var*> inputs, Backward backward);
  /// For an operator that makes gradients already in its forward (cross_entropy).
  Gradients gradients() { return Gradients(*this); }
  /// True when one of them wants a gradient: what the backward needs must be kept.
  bool recording(std::initializer_list<const Var*> inputs) const;

  /// Gradients of everything the losses came from: their sum is differentiated. Frees the tape as it goes.
  void backward(std::span<const Loss> losses);
  void backward(const Loss& loss) { backward(std::span(&loss, 1)); }
  /// From any value, with the gradient it starts from (float32, of its shape).
  void backward(const Var& y, const Tensor& dy);
  /// After backward: the gradient of an input that wanted one.
  Tensor gradient_of(const Var& input) const;

 private:
  friend class Gradients;
  struct Node {
    Shape shape;
    Tensor gradient;
    WeightGradients::Slot* weight = nullptr;
    Backward backward;
    bool leaf = false;
  };
  int add_node(const Shape& shape);
  void run_backward();

  Arena& arena_;
  ThreadPool& pool_;
  PassOptions options_;
  std::shared_ptr<Var::Life> life_;
  std::vector<Node> nodes_;
  std::unordered_map<const Weight::Record*, int> weight_nodes_;
  std::uint64_t random_calls_ = 0;
  const Weight::Record* last_weight_ = nullptr;
};

}  // namespace heed
