#include <heed/attention.h>

#include <algorithm>

#include "attention/problem.h"
#include "attention/reference.h"

namespace heed {

Tensor attention_weights(const AttentionProblem& problem, std::size_t sequence, int head) {
  attention::check(problem);
  if (sequence >= problem.sequences.size() || head < 0 || head >= problem.heads)
    throw Error("attention_weights: sequence {} and head {} of a problem with {} sequences and {} heads", sequence,
                head, problem.sequences.size(), problem.heads);
  const std::vector<double> weights = attention::reference::weights(problem, sequence, head);
  Tensor result({problem.sequences[sequence].query_count, problem.sequences[sequence].key_count});
  std::transform(weights.begin(), weights.end(), result.floats(),
                 [](double weight) { return static_cast<float>(weight); });
  return result;
}

namespace {

/// [batch, heads, rows, width] to [batch, rows, heads, width]; with heads and rows exchanged, the way back.
Tensor exchanged(const Tensor& x) {
  const Shape& shape = x.shape();
  const std::int64_t heads = shape[1], rows = shape[2], width = shape[3];
  Tensor result({shape[0], rows, heads, width});
  const float* from = x.floats();
  for (std::int64_t batch = 0; batch < shape[0]; ++batch)
    for (std::int64_t head = 0; head < heads; ++head)
      for (std::int64_t row = 0; row < rows; ++row, from += width)
        std::copy_n(from, width, result.floats() + ((batch * rows + row) * heads + head) * width);
  return result;
}

}  // namespace

Tensor attend(const Tensor& query, const Tensor& key, const Tensor& value, const AttentionSpec& spec,
              ThreadPool& pool) {
  const Shape &q = query.shape(), &k = key.shape(), &v = value.shape();
  if (q.rank() != 4 || k.rank() != 4 || v.rank() != 4 || q[0] != k[0] || k[0] != v[0] || k[1] != v[1] || k[2] != v[2] ||
      q[3] != k[3])
    throw Error(
        "attend: query is {}, key is {}, value is {}; expected [batch, heads, queries, width], [batch, "
        "key-value heads, keys, width] and [batch, key-value heads, keys, value width]",
        q, k, v);
  const std::int64_t batches = q[0], queries = q[2], keys = k[2];
  const Tensor packed_query = exchanged(query), packed_key = exchanged(key), packed_value = exchanged(value);

  AttentionProblem problem;
  problem.spec = spec;
  problem.heads = static_cast<int>(q[1]);
  problem.key_value_heads = static_cast<int>(k[1]);
  problem.head_width = static_cast<int>(q[3]);
  problem.value_width = static_cast<int>(v[3]);
  problem.query = packed_query.reshaped({batches * queries, q[1] * q[3]}).view();
  problem.key_stride = k[1] * k[3];
  problem.value_stride = v[1] * v[3];
  for (std::int64_t batch = 0; batch < batches; ++batch) {
    AttentionSequence sequence;
    sequence.query_begin = batch * queries;
    sequence.query_count = queries;
    sequence.query_position = keys - queries;
    sequence.key_begin = batch * keys;
    sequence.key_count = keys;
    if (keys > 0)
      sequence.spans.push_back({packed_key.floats() + batch * keys * problem.key_stride,
                                packed_value.floats() + batch * keys * problem.value_stride, keys});
    problem.sequences.push_back(std::move(sequence));
  }
  Tensor output({batches, queries, q[1], v[3]});
  attention_forward(problem, output.reshaped({batches * queries, q[1] * v[3]}).view(), nullptr, pool);
  return exchanged(output);
}

}  // namespace heed
