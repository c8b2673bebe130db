#pragma once
// The operators of ONNX whose definitions heed's own operators fulfil: each function maps a node onto them.
#include <heed/thread_pool.h>

#include "conformance/onnx_case.h"

namespace heed::onnx {

/// A node with its inputs, null where not given.
struct Call {
  const Node& node;
  std::vector<const Tensor*> inputs;
  ThreadPool& pool;

  const Tensor* optional(std::size_t i) const { return i < inputs.size() ? inputs[i] : nullptr; }
  const Tensor& input(std::size_t i) const;
  bool wants(std::size_t output) const { return output < node.outputs.size() && !node.outputs[output].empty(); }
};

/// What an operator gives, in the order of its outputs; an empty tensor where nobody asked. Results may be of a wider
/// type than the definition's: the comparison knows the expected one.
using Outputs = std::vector<Tensor>;
using Operator = Outputs (*)(const Call& call);

/// Null when heed has no such operator.
Operator operator_named(const std::string& name);

/// Runs the nodes of a graph one after the other.
Values run(const Graph& graph, Values values, ThreadPool& pool);

Outputs attention(const Call& call);
Outputs flex_attention(const Call& call);
Outputs linear_attention(const Call& call);
Outputs causal_convolution(const Call& call);
Outputs rotary_embedding(const Call& call);
Outputs softmax(const Call& call);
Outputs layer_normalization(const Call& call);
Outputs rms_normalization(const Call& call);
Outputs gelu(const Call& call);
Outputs swish(const Call& call);
Outputs tensor_scatter(const Call& call);
Outputs lstm(const Call& call);
Outputs gru(const Call& call);
Outputs rnn(const Call& call);

/// Any number or boolean as float32.
Tensor to_float32(const Tensor& tensor);
/// [a, b, c, d] to [a, c, b, d]: heads and rows exchanged.
Tensor exchanged(const Tensor& x);
/// What is packed as heed has it: [batch, rows, heads·width], from that or from [batch, heads, rows, width].
Tensor packed(const Tensor& x);

}  // namespace heed::onnx
