// Attention and FlexAttention by heed's attention: one problem, one sequence of it for each of the batch.
#include <heed/attention.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "attention/reference.h"
#include "conformance/onnx_modifier.h"
#include "conformance/onnx_operators.h"
#include "kernels/matmul.h"

namespace heed::onnx {

namespace {

constexpr float nothing = -std::numeric_limits<float>::infinity();

/// A problem with the memory that it points into.
struct Sample {
  AttentionProblem problem;
  std::int64_t batches = 0, queries = 0, keys = 0;  ///< keys: with those of the past
  std::vector<std::int64_t> offsets;                ///< of each of the batch: keys before its first query
  Tensor query, key, value, bias;
  std::vector<KeyValueCache> caches;

  /// Queries, keys and values as [batch, heads, rows, width] or, with the numbers of heads, [batch, rows, heads·width].
  Sample(const Tensor& q, const Tensor& k, const Tensor& v, std::int64_t heads, std::int64_t key_value_heads)
      : batches(q.shape()[0]) {
    query = in_type_of_rows(packed(q));
    key = in_type_of_keys(packed(k));
    value = in_type_of_keys(packed(v));
    queries = query.shape()[1];
    keys = key.shape()[1];
    if (q.shape().rank() == 4) heads = q.shape()[1], key_value_heads = k.shape()[1];
    if (heads < 1 || key_value_heads < 1) throw Error("attention: {} heads over {}", heads, key_value_heads);
    problem.heads = static_cast<int>(heads);
    problem.key_value_heads = static_cast<int>(key_value_heads);
    problem.head_width = static_cast<int>(query.width() / heads);
    problem.value_width = static_cast<int>(value.width() / key_value_heads);
    problem.query = query.reshaped({batches * queries, query.width()}).view();
    problem.key_value_dtype = key.dtype();
    problem.key_stride = key.width();
    problem.value_stride = value.width();
    problem.sequences.resize(static_cast<std::size_t>(batches));
    offsets.resize(static_cast<std::size_t>(batches));
    for (std::int64_t batch = 0; batch < batches; ++batch) {
      AttentionSequence& one = sequence(batch);
      one.query_begin = batch * queries;
      one.query_count = queries;
      set_keys(batch, keys);
    }
  }

  AttentionSequence& sequence(std::int64_t batch) { return problem.sequences[static_cast<std::size_t>(batch)]; }

  /// Only the first `count` keys of a sequence are there.
  void set_keys(std::int64_t batch, std::int64_t count) {
    AttentionSequence& one = sequence(batch);
    one.key_count = count;
    one.spans.clear();
    if (count > 0) one.spans.push_back({row_of(key, batch), row_of(value, batch), count});
  }

  /// Puts keys and values of the past before the others, in a cache.
  void continue_from(const Tensor& past_key, const Tensor& past_value) {
    const Tensor past_keys = to_float32(packed(past_key)), past_values = to_float32(packed(past_value));
    const Tensor new_keys = to_float32(key), new_values = to_float32(value);
    for (std::int64_t batch = 0; batch < batches; ++batch) {
      KeyValueCache cache(key.width(), value.width(), key.dtype());
      cache.append(rows_of(past_keys, batch), rows_of(past_values, batch));
      cache.append(rows_of(new_keys, batch), rows_of(new_values, batch));
      AttentionSequence& one = sequence(batch);
      one.key_count = cache.length();
      one.spans = cache.spans();
      offsets[static_cast<std::size_t>(batch)] = past_keys.shape()[1];
      caches.push_back(std::move(cache));
    }
    keys += past_keys.shape()[1];
  }

  /// Keys and values as the cache now holds them: [batch, key_value_heads, keys, width].
  Tensor present(bool of_keys) const {
    const std::int64_t heads = problem.key_value_heads, width = of_keys ? problem.head_width : problem.value_width;
    if (caches.empty()) return exchanged((of_keys ? key : value).reshaped({batches, keys, heads, width}));
    Tensor rows({batches, keys, heads, width}, key.dtype());
    char* to = static_cast<char*>(rows.data());
    for (const KeyValueCache& cache : caches)
      for (const KeyValueSpan& span : cache.spans())
        to = std::copy_n(static_cast<const char*>(of_keys ? span.key : span.value),
                         span.count * heads * width * size_of(key.dtype()), to);
    return exchanged(rows);
  }

  Tensor output(ThreadPool& pool) const {
    Tensor result({batches, queries, problem.heads * std::int64_t{problem.value_width}});
    attention_forward(problem, result.reshaped({batches * queries, result.width()}).view(), nullptr, pool);
    return result;
  }

  /// What `row(sequence, head)` gives for each query and key, filled up to all keys: [batch, heads, queries, keys].
  template <class Row>
  Tensor matrix(float filling, Row&& row) const {
    Tensor result({batches, problem.heads, queries, keys});
    result.fill(filling);
    float* to = result.floats();
    for (std::size_t batch = 0; batch < problem.sequences.size(); ++batch)
      for (int head = 0; head < problem.heads; ++head) {
        const auto elements = row(batch, head);
        const std::int64_t count = problem.sequences[batch].key_count;
        for (std::int64_t i = 0; i < queries; ++i, to += keys)
          for (std::int64_t j = 0; j < count; ++j)
            to[j] = static_cast<float>(elements[static_cast<std::size_t>(i * count + j)]);
      }
    return result;
  }
  Tensor scores() const {
    return matrix(nothing,
                  [&](std::size_t batch, int head) { return attention::reference::scores(problem, batch, head); });
  }
  Tensor weights() const {
    return matrix(0.0f, [&](std::size_t batch, int head) {
      const Tensor one = attention_weights(problem, batch, head);
      return std::vector<float>(one.floats(), one.floats() + one.elements());
    });
  }

 private:
  static Tensor in_type_of_rows(const Tensor& x) { return x.dtype() == DType::bfloat16 ? x : to_float32(x); }
  static Tensor in_type_of_keys(const Tensor& x) { return x.dtype() == DType::float16 ? x : in_type_of_rows(x); }
  static const void* row_of(const Tensor& x, std::int64_t batch) {
    return static_cast<const char*>(x.data()) + batch * x.shape()[1] * x.width() * size_of(x.dtype());
  }
  static View rows_of(const Tensor& x, std::int64_t batch) {
    return {const_cast<void*>(row_of(x, batch)), x.dtype(), x.shape()[1], x.width(), x.width()};
  }
};

/// The mask as a table of four dimensions.
Tensor in_four(const Tensor& mask) {
  Shape shape;
  for (int i = mask.shape().rank(); i < 4; ++i) shape.append(1);
  for (int i = 0; i < mask.shape().rank(); ++i) shape.append(mask.shape()[i]);
  return mask.reshaped(shape);
}

/// Booleans forbid, numbers are added; keys beyond the mask's are forbidden.
void set_mask(Sample& sample, const Tensor& given) {
  const Tensor mask = in_four(given);
  const Shape& shape = mask.shape();
  if (given.dtype() == DType::boolean) {
    const std::vector<std::int64_t>& offsets = sample.offsets;
    if (std::ranges::all_of(offsets, [](std::int64_t offset) { return offset == 0; })) {
      sample.problem.spec.mask = sample.problem.spec.mask & allowed(mask);
      return;
    }
    // Queries of the table count from each sequence's first.
    sample.problem.spec.mask =
        sample.problem.spec.mask &
        heed::mask("table", [mask, shape, offsets](int batch, int head, std::int64_t query, std::int64_t key) noexcept {
          const auto at = [&](int dimension, std::int64_t i) { return shape[dimension] == 1 ? 0 : i; };
          if (shape[3] != 1 && key >= shape[3]) return false;
          const std::int64_t row = (at(0, batch) * shape[1] + at(1, head)) * shape[2] +
                                   at(2, query - offsets[static_cast<std::size_t>(batch)]);
          return static_cast<const bool*>(mask.data())[row * shape[3] + at(3, key)];
        });
    return;
  }
  const Tensor numbers = to_float32(mask);
  // A single key's number stands for all keys; any other length is filled up with -infinity.
  const std::int64_t width = shape[3] == 1 ? 1 : sample.keys;
  sample.bias = Tensor({shape[0], shape[1], shape[2], width});
  sample.bias.fill(nothing);
  for (std::int64_t row = 0; row < sample.bias.rows(); ++row)
    std::copy_n(numbers.floats() + row * shape[3], std::min(width, shape[3]), sample.bias.floats() + row * width);
  sample.problem.bias.data = sample.bias.floats();
  std::int64_t stride = 1;
  for (int i = 3; i >= 0; --i) {
    sample.problem.bias.strides[i] = sample.bias.shape()[i] == 1 ? 0 : stride;
    stride *= sample.bias.shape()[i];
  }
}

/// is_causal and the windows, by absolute positions: the first query of each sequence stands behind `offset` keys.
void set_positions(Sample& sample, const Node& node) {
  const bool is_causal = node.integer("is_causal", 0) != 0;
  const std::int64_t left = node.integer("left_window_size", -1), right = node.integer("right_window_size", -1);
  if (!is_causal && left < 0 && right < 0) {
    std::ranges::fill(sample.offsets, 0);
    return;
  }
  for (std::int64_t batch = 0; batch < sample.batches; ++batch)
    sample.sequence(batch).query_position = sample.offsets[static_cast<std::size_t>(batch)];
  Mask& mask = sample.problem.spec.mask;
  if (is_causal) mask = mask & causal();
  if (right >= 0) mask = mask & causal(right);
  // Not more than `left` behind: what a causal mask moved by left + 1 forbids.
  if (left >= 0) mask = mask & !causal(-left - 1);
}

Tensor shaped_as_query(const Sample& sample, const Tensor& output, const Tensor& q) {
  if (q.shape().rank() == 3) return output;
  return exchanged(output.reshaped({sample.batches, sample.queries, sample.problem.heads, sample.problem.value_width}));
}

}  // namespace

Outputs attention(const Call& call) {
  const Tensor& q = call.input(0);
  Sample sample(q, call.input(1), call.input(2), call.node.integer("q_num_heads", 0),
                call.node.integer("kv_num_heads", 0));
  AttentionSpec& spec = sample.problem.spec;
  if (call.node.has("scale")) spec.scale = call.node.number("scale", 0.0f);
  spec.soft_cap = call.node.number("softcap", 0.0f);
  if (const Tensor* past_key = call.optional(4)) sample.continue_from(*past_key, call.input(5));
  if (const Tensor* lengths = call.optional(6))
    for (std::int64_t batch = 0; batch < sample.batches; ++batch) {
      const std::int64_t length = lengths->as<std::int64_t>()[batch];
      if (length < 0 || length > sample.keys)
        throw Error("Attention: {} of {} keys are none of padding", length, sample.keys);
      sample.set_keys(batch, length);
      sample.offsets[static_cast<std::size_t>(batch)] = length - sample.queries;
    }

  const std::int64_t mode = call.node.integer("qk_matmul_output_mode", 0);
  Tensor scores;
  // Before mask and bias, and in mode 0 before the cap: the scores of a simpler problem, over the padding too.
  if (call.wants(3) && mode <= 1) {
    Sample simple = sample;
    if (mode == 0) simple.problem.spec.soft_cap = 0.0f;
    if (call.optional(6))
      for (std::int64_t batch = 0; batch < sample.batches; ++batch) simple.set_keys(batch, sample.keys);
    scores = simple.scores();
  }
  set_positions(sample, call.node);
  if (const Tensor* mask = call.optional(3)) set_mask(sample, *mask);
  if (call.wants(3) && mode == 2) scores = sample.scores();
  if (call.wants(3) && mode == 3) scores = sample.weights();
  return {shaped_as_query(sample, sample.output(call.pool), q), call.wants(1) ? sample.present(true) : Tensor(),
          call.wants(2) ? sample.present(false) : Tensor(), scores};
}

Outputs flex_attention(const Call& call) {
  const Tensor& q = call.input(0);
  Sample sample(q, call.input(1), call.input(2), 0, 0);
  if (call.node.has("scale")) sample.problem.spec.scale = call.node.number("scale", 0.0f);
  const Shape matrix = {sample.batches, sample.problem.heads, sample.queries, sample.keys};
  if (call.node.has("score_mod"))
    sample.problem.spec.rule = rule_of(*call.node.attributes.at("score_mod").graph, matrix);
  if (!call.node.has("prob_mod")) return {shaped_as_query(sample, sample.output(call.pool), q)};
  // Probabilities that were changed are none that attention made: their product with the values is taken here.
  const Array changed = evaluate(*call.node.attributes.at("prob_mod").graph, to_array(sample.weights()));
  Tensor weights(matrix);
  std::ranges::transform(changed.elements, weights.floats(), [](double x) { return static_cast<float>(x); });
  const Tensor values = to_float32(sample.value);
  Tensor output({sample.batches, sample.queries, sample.problem.heads * std::int64_t{sample.problem.value_width}});
  const int group = sample.problem.heads / sample.problem.key_value_heads;
  const std::int64_t width = sample.problem.value_width;
  for (std::int64_t batch = 0; batch < sample.batches; ++batch)
    for (std::int64_t head = 0; head < sample.problem.heads; ++head)
      kernels::matmul({.m = sample.queries,
                       .n = width,
                       .k = sample.keys,
                       .a = weights.slice(batch, batch + 1)
                                .reshaped({sample.problem.heads, sample.queries * sample.keys})
                                .slice(head, head + 1)
                                .reshaped({sample.queries, sample.keys})
                                .view(),
                       .b = {values.floats() + batch * sample.keys * values.width() + head / group * width,
                             DType::float32, sample.keys, width, values.width()},
                       .c = {output.floats() + batch * sample.queries * output.width() + head * width, DType::float32,
                             sample.queries, width, output.width()}},
                      call.pool);
  return {shaped_as_query(sample, output, q)};
}

}  // namespace heed::onnx
