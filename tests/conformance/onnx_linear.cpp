// LinearAttention and CausalConvWithState by heed's operators of the same names.
#include <heed/causal_convolution.h>
#include <heed/linear_attention.h>

#include "conformance/onnx_operators.h"

namespace heed::onnx {

namespace {

View rows_of(const Tensor& x) { return x ? x.reshaped({x.rows(), x.width()}).view() : View(); }
Tensor given(const Tensor* x) { return x ? to_float32(*x) : Tensor(); }

/// [a, b, c] to [a, c, b].
Tensor turned(const Tensor& x) {
  const Shape& shape = x.shape();
  return exchanged(x.reshaped({shape[0], shape[1], shape[2], 1})).reshaped({shape[0], shape[2], shape[1]});
}

}  // namespace

Outputs linear_attention(const Call& call) {
  const Tensor query = to_float32(call.input(0)), key = to_float32(call.input(1)), value = to_float32(call.input(2));
  const Tensor past = given(call.optional(3)), decay = given(call.optional(4)), beta = given(call.optional(5));
  LinearAttentionProblem problem;
  problem.rule = update_rule_named(call.node.text("update_rule", "gated_delta"));
  problem.heads = static_cast<int>(call.node.integer("q_num_heads", 0));
  problem.key_value_heads = static_cast<int>(call.node.integer("kv_num_heads", 0));
  if (problem.heads < 1 || problem.key_value_heads < 1)
    throw Error("LinearAttention: {} heads over {}", problem.heads, problem.key_value_heads);
  problem.key_width = static_cast<int>(query.width() / problem.heads);
  problem.value_width = static_cast<int>(value.width() / problem.key_value_heads);
  if (const float scale = call.node.number("scale", 0.0f); scale != 0.0f) problem.scale = scale;
  problem.query = rows_of(query);
  problem.key = rows_of(key);
  problem.value = rows_of(value);
  problem.decay = rows_of(decay);
  problem.beta = rows_of(beta);
  const std::int64_t batches = query.shape()[0], rows = query.shape()[1];
  Tensor present({batches, problem.key_value_heads, problem.key_width, problem.value_width});
  const std::int64_t state = batches > 0 ? present.elements() / batches : 0;
  for (std::int64_t batch = 0; batch < batches; ++batch)
    problem.sequences.push_back({.begin = batch * rows,
                                 .count = rows,
                                 .initial_state = past ? past.floats() + batch * state : nullptr,
                                 .final_state = present.floats() + batch * state});
  Tensor output({batches, rows, problem.heads * std::int64_t{problem.value_width}});
  linear_attention_forward(problem, rows_of(output), call.pool);
  return {output, present};
}

Outputs causal_convolution(const Call& call) {
  const Tensor input = turned(to_float32(call.input(0))), weight = to_float32(call.input(1));
  const Tensor bias = given(call.optional(2));
  const Tensor past = call.optional(3) ? turned(to_float32(*call.optional(3))) : Tensor();
  const std::string activation = call.node.text("activation", "none");
  if (activation != "none" && activation != "silu" && activation != "swish")
    throw Error("CausalConvWithState: activation {}", activation);
  CausalConvolution problem;
  problem.channels = input.width();
  problem.width = weight.width();
  problem.input = rows_of(input);
  problem.weight = weight.floats();
  problem.bias = bias ? bias.floats() : nullptr;
  problem.silu = activation != "none";
  const std::int64_t batches = input.shape()[0], rows = input.shape()[1];
  Tensor present({batches, problem.width - 1, problem.channels});
  const std::int64_t state = (problem.width - 1) * problem.channels;
  for (std::int64_t batch = 0; batch < batches; ++batch)
    problem.sequences.push_back({.begin = batch * rows,
                                 .count = rows,
                                 .initial_state = past ? past.floats() + batch * state : nullptr,
                                 .final_state = present.floats() + batch * state});
  Tensor output(input.shape());
  causal_convolution_forward(problem, rows_of(output), call.pool);
  return {turned(output), turned(present)};
}

}  // namespace heed::onnx
