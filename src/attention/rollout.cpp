#include <heed/attention_inspection.h>

#include <algorithm>

#include "attention/look.h"
#include "attention/problem.h"
#include "kernels/matmul.h"

namespace heed {

using attention::Look;

namespace {

constexpr std::int64_t together = 512;  ///< rows that are held of a layer, and of the product beside the result

void check_layers(std::span<const AttentionProblem> layers, const RolloutOptions& options) {
  if (layers.empty()) throw Error("attention_rollout: no layers are given; expected one or more");
  if (!(options.identity >= 0.0f && options.identity <= 1.0f))
    throw Error("attention_rollout: the identity's share is {}; expected 0 to 1", options.identity);
  for (std::size_t i = 0; i < layers.size(); ++i) {
    if (options.sequence >= layers[i].sequences.size())
      throw Error("attention_rollout: sequence {}, but layer {} has {}", options.sequence, i,
                  layers[i].sequences.size());
    const std::int64_t queries = layers[i].sequences[options.sequence].query_count;
    const std::int64_t keys = attention::key_count_of(layers[i], options.sequence);
    const std::int64_t length = layers[0].sequences[options.sequence].query_count;
    if (queries != length || keys != length)
      throw Error("attention_rollout: layer {} has {} queries and {} keys; expected {} of both, as layer 0 has queries",
                  i, queries, keys, length);
  }
}

/// to[row] = share · the mean over heads of a layer's rows.
void mean_of_heads(const AttentionProblem& layer, const AttentionLook& rows, float share, float* to, ThreadPool& pool) {
  const Look look("attention_rollout", layer, rows, pool);
  const std::int64_t keys = look.keys();
  const bool sums_to_one = layer.spec.normaliser != Normaliser::sigmoid &&
                           layer.spec.normaliser != Normaliser::softmax_zero &&
                           layer.spec.normaliser != Normaliser::softmax_sink;
  pool.parallel_for(static_cast<std::int64_t>(look.blocks().size()), [&](std::int64_t i) {
    const Look::Block& block = look.blocks()[static_cast<std::size_t>(i)];
    const Tensor weights({block.count, keys});
    std::fill_n(to + block.row * keys, block.count * keys, 0.0f);
    for (std::size_t head = 0; head < look.heads().size(); ++head) {
      look.show(block, head, weights.floats(), keys);
      for (int r = 0; r < block.count; ++r) {
        const float* const from = weights.floats() + r * keys;
        double sum = 1.0;
        if (!sums_to_one) {
          sum = 0.0;
          for (std::int64_t k = 0; k < keys; ++k) sum += static_cast<double>(from[k]);
        }
        if (sum == 0.0) continue;
        const auto factor = static_cast<float>(static_cast<double>(share) / (sum * layer.heads));
        float* const row = to + (block.row + r) * keys;
        for (std::int64_t k = 0; k < keys; ++k) row[k] += factor * from[k];
      }
    }
  });
}

}  // namespace

Tensor attention_rollout(std::span<const AttentionProblem> layers, const RolloutOptions& options, ThreadPool& pool) {
  check_layers(layers, options);
  const Look asked("attention_rollout", layers.back(),
                   {.sequence = options.sequence, .begin = options.begin, .count = options.count, .rows = options.rows},
                   pool);
  const std::int64_t length = asked.keys();
  const float kept = options.identity, share = 1.0f - kept;
  Tensor result({asked.rows(), length});
  const Tensor next({std::min(together, asked.rows()), length}), mean({std::min(together, length), length});

  // From the last layer down: rows · A(l) needs A's rows one after another, and each once for all rows held.
  for (std::int64_t row = 0; row < asked.rows(); row += together) {
    const Tensor rows = result.slice(row, std::min(row + together, asked.rows()));
    const std::int64_t count = rows.rows();
    AttentionLook own{.sequence = options.sequence};
    for (std::int64_t i = 0; i < count; ++i) own.rows.push_back(asked.query(row + i));
    mean_of_heads(layers.back(), own, share, rows.floats(), pool);
    for (std::int64_t i = 0; i < count; ++i) rows.floats()[i * length + own.rows[static_cast<std::size_t>(i)]] += kept;

    for (std::size_t layer = layers.size() - 1; layer-- > 0;) {
      for (std::int64_t i = 0; i < rows.elements(); ++i) next.floats()[i] = kept * rows.floats()[i];
      for (std::int64_t at = 0; at < length; at += together) {
        const std::int64_t here = std::min(together, length - at);
        mean_of_heads(layers[layer], {.sequence = options.sequence, .begin = at, .count = here}, share, mean.floats(),
                      pool);
        kernels::matmul({.m = count,
                         .n = length,
                         .k = here,
                         .a = {rows.floats() + at, DType::float32, count, here, length},
                         .b = mean.slice(0, here).view(),
                         .c = next.slice(0, count).view(),
                         .accumulate = true},
                        pool);
      }
      std::copy_n(next.floats(), rows.elements(), rows.floats());
    }
  }
  return result;
}

}  // namespace heed
