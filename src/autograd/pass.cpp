#include <heed/pass.h>

#include "kernels/dispatch.h"
#include "kernels/rows.h"

namespace heed {

Precision best_precision() {
  return kernels::chosen() == kernels::InstructionSet::avx512_bf16 ? Precision::bfloat16 : Precision::float32;
}

void State::roll_back(std::int64_t tokens) {
  if (tokens < 0 || tokens > length) throw Error("roll_back: {} tokens asked for, the state has {}", tokens, length);
  length = tokens;
}

WeightGradients::WeightGradients(const std::vector<Weight>& weights) {
  std::int64_t total = 0;
  for (const Weight& weight : weights)
    if (index_.emplace(weight.identity(), index_.size()).second) total += (weight.elements() + 15) / 16 * 16;
  buffer_ = Tensor({total});
  slots_.resize(index_.size());
  std::int64_t offset = 0;
  std::vector<bool> placed(slots_.size());
  for (const Weight& weight : weights) {
    const std::size_t place = index_.at(weight.identity());
    if (placed[place]) continue;
    placed[place] = true;
    slots_[place].gradient = buffer_.slice(offset, offset + weight.elements()).reshaped(weight.shape());
    offset += (weight.elements() + 15) / 16 * 16;
  }
}

void WeightGradients::clear() {
  for (Slot& slot : slots_) slot.written = false;
}

void WeightGradients::finish() {
  for (Slot& slot : slots_) {
    if (!slot.written) slot.gradient.fill(0.0f);
    slot.written = true;
  }
}

WeightGradients::Slot* WeightGradients::find(const Weight::Record* record) {
  const auto found = index_.find(record);
  return found == index_.end() ? nullptr : &slots_[found->second];
}

const Tensor& WeightGradients::of(const Weight& weight) const {
  static const Tensor none;
  const auto found = index_.find(weight.identity());
  return found == index_.end() ? none : slots_[found->second].gradient;
}

Pass& Var::pass() const {
  if (!life_ || !life_->pass) throw Error("a value is used after its pass has ended; keep() copies a value out before");
  return *life_->pass;
}

const Sequences& Var::sequences() const {
  if (!sequences_) throw Error("a value of shape {} is not divided into sequences", shape());
  return *sequences_;
}

Var Var::with(SequencesPointer sequences) const {
  Var copy = *this;
  copy.sequences_ = std::move(sequences);
  return copy;
}

Var Var::place() const {
  Var copy = *this;
  copy.value_ = Tensor();
  return copy;
}

Pass::Pass(Arena& arena, ThreadPool& pool, PassOptions options)
    : arena_(arena), pool_(pool), options_(std::move(options)), life_(std::make_shared<Var::Life>(Var::Life{this})) {
  nodes_.reserve(256);
}

Pass::~Pass() { life_->pass = nullptr; }

int Pass::add_node(const Shape& shape) {
  nodes_.emplace_back();
  nodes_.back().shape = shape;
  return static_cast<int>(nodes_.size()) - 1;
}

Var Pass::input(Tensor value, SequencesPointer sequences, bool wants_gradient) {
  Var x;
  x.value_ = std::move(value);
  x.sequences_ = std::move(sequences);
  x.life_ = life_;
  if (wants_gradient) {
    x.node_ = add_node(x.shape());
    nodes_.back().leaf = true;
  }
  return x;
}

Var Pass::use(const Weight& weight) {
  if (!weight) throw Error("a layer uses a weight that was never declared");
  last_weight_ = weight.identity();
  Var x;
  x.value_ = weight.value();
  x.life_ = life_;
  if (!options_.gradients || weight.frozen()) return x;
  auto [found, fresh] = weight_nodes_.try_emplace(weight.identity(), -1);
  if (fresh) {
    if (auto* slot = options_.gradients->find(weight.identity())) {
      found->second = add_node(weight.shape());
      nodes_.back().weight = slot;
    }
  }
  x.node_ = found->second;
  return x;
}

bool Pass::recording(std::initializer_list<const Var*> inputs) const {
  for (const Var* input : inputs)
    if (input->node_ >= 0) return true;
  return false;
}

Var Pass::record(Tensor y, std::initializer_list<const Var*> inputs, Backward backward) {
  if (options_.watch) options_.watch(y, last_weight_);
  Var result;
  result.value_ = std::move(y);
  result.life_ = life_;
  for (const Var* input : inputs)
    if (input->sequences_) {
      result.sequences_ = input->sequences_;
      break;
    }
  if (recording(inputs)) {
    result.node_ = add_node(result.shape());
    nodes_.back().backward = std::move(backward);
  }
  return result;
}

void Pass::backward(std::span<const Loss> losses) {
  for (const Loss& loss : losses) {
    if (loss.sum.node_ < 0) continue;
    Tensor one = tensor({1});
    one.fill(1.0f);
    nodes_[static_cast<std::size_t>(loss.sum.node_)].gradient = one;
  }
  run_backward();
}

void Pass::backward(const Var& y, const Tensor& dy) {
  if (dy.shape() != y.shape()) throw Error("backward: the gradient is {}, the value is {}", dy.shape(), y.shape());
  if (y.node_ < 0) return;
  nodes_[static_cast<std::size_t>(y.node_)].gradient = dy;
  run_backward();
}

void Pass::run_backward() {
  Gradients gradients(*this);
  for (std::size_t i = nodes_.size(); i-- > 0;) {
    Node& node = nodes_[i];
    if (node.backward) {
      if (node.gradient) {
        // Moved out: what nobody else shares is given back to the arena as soon as the operator is done with it.
        const Tensor dy = std::move(node.gradient);
        node.gradient = Tensor();
        node.backward(dy, gradients);
      }
      node.backward = nullptr;
    }
  }
}

Tensor Pass::gradient_of(const Var& input) const {
  if (input.node_ < 0) throw Error("gradient_of: this value wanted no gradient");
  const Node& node = nodes_[static_cast<std::size_t>(input.node_)];
  if (node.gradient) return node.gradient;
  Tensor nothing(node.shape);
  return nothing;
}

bool Gradients::wanted(const Var& x) const { return x.node_ >= 0; }

GradientTarget Gradients::to(const Var& x) {
  if (x.node_ < 0) return {};
  Pass::Node& node = pass_.nodes_[static_cast<std::size_t>(x.node_)];
  if (node.weight) {
    const bool accumulate = std::exchange(node.weight->written, true);
    return {node.weight->gradient.view(), accumulate};
  }
  if (!node.gradient) {
    node.gradient = pass_.tensor(node.shape);
    return {node.gradient.view(), false};
  }
  if (!node.gradient.unique()) {  // another operator reads this memory as its own gradient
    Tensor own = pass_.tensor(node.shape);
    kernels::convert(node.gradient.view(), own.view(), pass_.pool());
    node.gradient = own;
  }
  return {node.gradient.view(), true};
}

void Gradients::pass_on(const Var& x, const Tensor& dy) {
  if (x.node_ < 0) return;
  Pass::Node& node = pass_.nodes_[static_cast<std::size_t>(x.node_)];
  if (!node.weight && !node.gradient) {
    node.gradient = dy.reshaped(node.shape);
    return;
  }
  const GradientTarget target = to(x);
  if (target.accumulate)
    kernels::add_scaled(dy.view(), 1.0f, target.view, 1.0f, pass_.pool());
  else
    kernels::convert(dy.view(), target.view, pass_.pool());
}

}  // namespace heed
