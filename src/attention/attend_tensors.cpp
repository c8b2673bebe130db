#include <heed/attention.h>

#include <algorithm>
#include <cstring>

#include "attention/bands.h"
#include "attention/cpu/decode.h"
#include "attention/mask.h"
#include "attention/problem.h"

namespace heed {

namespace {

void check_tensors(const AttentionInputs& inputs) {
  const Shape &q = inputs.query.shape(), &k = inputs.key.shape(), &v = inputs.value.shape();
  const bool two_widths = inputs.bilinear && inputs.bilinear.shape().rank() == 3;
  if (q.rank() != 4 || k.rank() != 4 || v.rank() != 4 || q[0] != k[0] || k[0] != v[0] || k[1] != v[1] || k[2] != v[2] ||
      (q[3] != k[3] && !two_widths))
    throw Error(
        "attend: query is {}, key is {}, value is {}; expected [batch, heads, queries, width], [batch, key-value "
        "heads, keys, width] and [batch, key-value heads, keys, value width]",
        q, k, v);
  if (inputs.key.dtype() != inputs.value.dtype())
    throw Error("attend: key is {} and value is {}; expected one type", name_of(inputs.key.dtype()),
                name_of(inputs.value.dtype()));
}

/// The elements of an operand, or null where there is none.
const float* operand(std::string_view name, const Tensor& tensor, const Shape& expected) {
  if (!tensor) return nullptr;
  if (tensor.shape() != expected || tensor.dtype() != DType::float32)
    throw Error("attend: {} is {} of {}; expected {} of float32", name, tensor.shape(), name_of(tensor.dtype()),
                expected);
  return tensor.floats();
}

AttentionBias bias_of(const Tensor& tensor, const Shape& scores) {
  AttentionBias bias;
  if (!tensor) return bias;
  const Shape& shape = tensor.shape();
  bool fits = shape.rank() >= 2 && shape.rank() <= 4 && tensor.dtype() == DType::float32;
  for (std::int64_t i = 1, stride = 1; fits && i <= shape.rank(); ++i) {
    const std::int64_t extent = shape[static_cast<int>(-i)], wanted = scores[static_cast<int>(-i)];
    fits = extent == 1 || extent == wanted;
    bias.strides[4 - i] = extent == 1 ? 0 : stride;
    stride *= extent;
  }
  if (!fits)
    throw Error("attend: the bias is {} of {}; expected 2 to 4 dimensions of float32 that broadcast to {}", shape,
                name_of(tensor.dtype()), scores);
  bias.data = tensor.floats();
  return bias;
}

/// The second and third dimension exchanged; where one of them is 1 that is the same memory.
Tensor exchanged(const Tensor& x, ThreadPool& pool) {
  const Shape& shape = x.shape();
  const Shape turned{shape[0], shape[2], shape[1], shape[3]};
  if (shape[1] == 1 || shape[2] == 1) return x.reshaped(turned);
  Tensor result(turned, x.dtype());
  const std::int64_t bytes = shape[3] * size_of(x.dtype());
  pool.parallel_for(shape[0] * shape[1], [&](std::int64_t i) {
    const std::int64_t batch = i / shape[1], head = i % shape[1];
    const char* from = static_cast<const char*>(x.data()) + i * shape[2] * bytes;
    char* to = static_cast<char*>(result.data()) + (batch * shape[2] * shape[1] + head) * bytes;
    for (std::int64_t row = 0; row < shape[2]; ++row, from += bytes, to += shape[1] * bytes)
      std::memcpy(to, from, static_cast<std::size_t>(bytes));
  });
  return result;
}

/// Where no head or batch differs from another in what is computed, each head may pass for a sequence of one head: then
/// rows lie as a problem wants them. Not where few queries of several heads would read the same keys together.
bool heads_are_sequences(const AttentionInputs& inputs, const AttentionSpec& spec, const AttentionBias& bias) {
  const Shape &q = inputs.query.shape(), &k = inputs.key.shape();
  const bool reads_together = q[1] != k[1] && q[2] <= attention::most_decode_queries;
  const bool same = spec.score != Score::bilinear && spec.score != Score::additive &&
                    spec.normaliser != Normaliser::softmax_sink && !spec.rule && spec.dropout == 0.0f &&
                    !inputs.slopes && !inputs.relative && attention::bands_of(spec.mask);
  return same && !reads_together && (q[0] == 1 || bias.strides[0] == q[1] * bias.strides[1]);
}

}  // namespace

Tensor attend(const AttentionInputs& inputs, const AttentionSpec& spec, ThreadPool& pool, Tensor* log_sum_exp) {
  check_tensors(inputs);
  const Shape &q = inputs.query.shape(), &k = inputs.key.shape(), &v = inputs.value.shape();
  const std::int64_t batches = q[0], heads = q[1], queries = q[2], keys = k[2];
  AttentionProblem problem;
  problem.spec = spec;
  problem.heads = static_cast<int>(heads);
  problem.key_value_heads = static_cast<int>(k[1]);
  problem.head_width = static_cast<int>(q[3]);
  problem.value_width = static_cast<int>(v[3]);
  problem.key_width = static_cast<int>(k[3]);
  problem.key_value_dtype = inputs.key.dtype();
  problem.bilinear = operand("bilinear", inputs.bilinear, {heads, q[3], k[3]});
  problem.direction = operand("direction", inputs.direction, {heads, q[3]});
  problem.sinks = operand("sinks", inputs.sinks, {heads});
  problem.slopes = operand("slopes", inputs.slopes, {heads});
  if (inputs.relative) {
    problem.relative_reach = (inputs.relative.width() - 1) / 2;
    problem.relative = operand("relative", inputs.relative, {heads, 2 * problem.relative_reach + 1});
  }
  problem.bias = bias_of(inputs.bias, {batches, heads, queries, keys});
  problem.parameters = inputs.parameters;
  problem.dropout_key = inputs.dropout_key;
  attention::check_mask(spec.mask, batches, heads);
  if (heads < 1 || problem.key_value_heads < 1 || heads % problem.key_value_heads != 0)
    throw Error("attend: query {} has {} heads, key {} has {}; the second must divide the first", q, heads, k, k[1]);

  const bool apart = heads_are_sequences(inputs, spec, problem.bias);
  const std::int64_t group = heads / k[1];
  if (apart) {
    problem.bias.strides[0] = problem.bias.strides[1];
    problem.heads = problem.key_value_heads = 1;
  }
  const auto rows_of = [&](const Tensor& x) { return apart ? x : exchanged(x, pool); };
  const Tensor query = rows_of(inputs.query), key = rows_of(inputs.key), value = rows_of(inputs.value);
  const std::int64_t own = problem.heads, shared = problem.key_value_heads, sequences = batches * heads / own;
  problem.query = query.reshaped({sequences * queries, own * q[3]}).view();
  problem.key_stride = shared * k[3];
  problem.value_stride = shared * v[3];
  const std::int64_t bytes = keys * size_of(key.dtype());
  for (std::int64_t i = 0; i < sequences; ++i) {
    AttentionSequence sequence;
    sequence.query_begin = i * queries;
    sequence.query_count = queries;
    sequence.query_position = keys - queries;
    sequence.key_count = keys;
    const std::int64_t block = apart ? i / group : i;  // of keys and values
    if (keys > 0)
      sequence.spans.push_back({static_cast<const char*>(key.data()) + block * bytes * problem.key_stride,
                                static_cast<const char*>(value.data()) + block * bytes * problem.value_stride, keys});
    problem.sequences.push_back(std::move(sequence));
  }

  const Tensor output(apart ? Shape{batches, heads, queries, v[3]} : Shape{batches, queries, heads, v[3]},
                      inputs.query.dtype());
  const Tensor sums = log_sum_exp ? Tensor({own, sequences, queries, 1}) : Tensor();
  attention_forward(problem, output.reshaped({sequences * queries, own * v[3]}).view(),
                    log_sum_exp ? sums.floats() : nullptr, pool);
  if (log_sum_exp)
    *log_sum_exp = (apart ? sums : exchanged(sums.reshaped({1, own, sequences, queries}), pool))
                       .reshaped({batches, heads, queries});
  return apart ? output : exchanged(output, pool);
}

Tensor attend(const AttentionInputs& inputs, const AttentionSpec& spec) {
  check_tensors(inputs);
  // Multiply-adds of a millisecond or so: many times what a thread takes to start.
  constexpr std::int64_t worth_a_thread = 50'000'000;
  const std::int64_t work = inputs.query.rows() * inputs.key.shape()[2] * (inputs.key.width() + inputs.value.width());
  ThreadPool pool(static_cast<int>(std::clamp<std::int64_t>(work / worth_a_thread, 1, available_processors())));
  return attend(inputs, spec, pool);
}

Tensor attend(const Tensor& query, const Tensor& key, const Tensor& value, const AttentionSpec& spec,
              ThreadPool& pool) {
  return attend({.query = query, .key = key, .value = value}, spec, pool);
}

}  // namespace heed
