#include <heed/attention_inspection.h>

#include <algorithm>
#include <cmath>

#include "attention/cpu/row_sums.h"
#include "attention/look.h"

HEED_DECLARE_KERNELS(attention::RowSumming, attention_row_sums_kernel)

namespace heed {

using attention::Look;

namespace {

constexpr kernels::Tables<attention::RowSumming> row_sums_kernels = HEED_KERNEL_TABLES(attention_row_sums_kernel);

Shape shape_of(const Look& look, std::int64_t width) {
  return {static_cast<std::int64_t>(look.heads().size()), look.rows(), width};
}

/// Weights or scores of everything that is looked at.
Tensor shown(const Look& look, ThreadPool& pool, bool raw) {
  Tensor result(shape_of(look, look.keys()));
  const auto blocks = static_cast<std::int64_t>(look.blocks().size());
  pool.parallel_for(blocks * result.shape()[0], [&](std::int64_t i) {
    const Look::Block& block = look.blocks()[static_cast<std::size_t>(i % blocks)];
    const std::int64_t row = i / blocks * look.rows() + block.row;
    look.show(block, static_cast<std::size_t>(i / blocks), result.floats() + row * look.keys(), look.keys(), raw);
  });
  return result;
}

struct Weighed {
  float weight;
  std::int32_t key;
  /// Comes before the other: larger, or equal and at the lower position.
  bool operator<(const Weighed& other) const {
    return weight > other.weight || (weight == other.weight && key < other.key);
  }
};

/// The first `most` of a row in order, with zeros behind them. `heap` is memory to work in: on its top stands what
/// would go next.
void take_largest(const float* row, std::int64_t count, std::size_t most, std::vector<Weighed>& heap, float* weights,
                  std::int32_t* positions) {
  heap.clear();
  float least = 0.0f;  // what a weight must be above to be among the largest so far
  for (std::int64_t key = 0; key < count; ++key) {
    if (!(row[key] > least)) continue;
    if (heap.size() == most) {
      std::pop_heap(heap.begin(), heap.end());
      heap.pop_back();
    }
    heap.push_back({row[key], static_cast<std::int32_t>(key)});
    std::push_heap(heap.begin(), heap.end());
    if (heap.size() == most) least = heap.front().weight;
  }
  std::sort_heap(heap.begin(), heap.end());
  for (std::size_t i = 0; i < most; ++i) {
    weights[i] = i < heap.size() ? heap[i].weight : 0.0f;
    positions[i] = i < heap.size() ? heap[i].key : -1;
  }
}

}  // namespace

Tensor attention_weights(const AttentionProblem& problem, const AttentionLook& look, ThreadPool& pool) {
  return shown(Look("attention_weights", problem, look, pool), pool, false);
}

Tensor attention_scores(const AttentionProblem& problem, const AttentionLook& look, ThreadPool& pool) {
  return shown(Look("attention_scores", problem, look, pool), pool, true);
}

Tensor attention_weights(const AttentionProblem& problem, std::size_t sequence, int head) {
  ThreadPool alone(1);
  const Tensor weights = attention_weights(problem, {.sequence = sequence, .heads = {head}}, alone);
  return weights.reshaped({weights.shape()[1], weights.shape()[2]});
}

LargestWeights largest_weights(const AttentionProblem& problem, const AttentionLook& look, std::int64_t most,
                               ThreadPool& pool) {
  if (most < 1) throw Error("largest_weights: {} of each row are asked for; expected 1 or more", most);
  const Look seen("largest_weights", problem, look, pool);
  LargestWeights result{Tensor(shape_of(seen, most)), Tensor(shape_of(seen, most), DType::int32)};
  seen.each(pool, [&](std::size_t head, const Look::Block& block, const float* weights, std::int64_t stride) {
    std::vector<Weighed> heap;
    for (int i = 0; i < block.count; ++i) {
      const std::int64_t to = (static_cast<std::int64_t>(head) * seen.rows() + block.row + i) * most;
      take_largest(weights + i * stride, seen.keys(), static_cast<std::size_t>(most), heap,
                   result.weights.floats() + to, result.positions.as<std::int32_t>() + to);
    }
  });
  return result;
}

AttentionStatistics attention_statistics(const AttentionProblem& problem, const AttentionLook& look, ThreadPool& pool,
                                         bool of_rows) {
  const Look seen("attention_statistics", problem, look, pool);
  const auto heads = seen.heads().size();
  const std::int64_t rows = seen.rows();
  Tensor entropy(shape_of(seen, 1)), distance(shape_of(seen, 1)), weights(shape_of(seen, 1));
  seen.each(pool, [&](std::size_t head, const Look::Block& block, const float* row, std::int64_t stride) {
    for (int i = 0; i < block.count; ++i, row += stride) {
      attention::RowSums sums;
      row_sums_kernels.best().sums(row, seen.keys(), seen.position(block.row + i), &sums);
      const std::int64_t to = static_cast<std::int64_t>(head) * rows + block.row + i;
      weights.floats()[to] = static_cast<float>(sums.weights);
      if (sums.weights == 0.0) continue;
      // −Σ w/S·ln(w/S) = ln S − Σ w·ln w / S; rounding must not make a row of one weight less certain than certain.
      const double of_row = std::log(sums.weights) - sums.information / sums.weights;
      entropy.floats()[to] = static_cast<float>(of_row < 0.0 ? 0.0 : of_row);
      distance.floats()[to] = static_cast<float>(sums.distance / sums.weights);
    }
  });

  AttentionStatistics result{std::vector<double>(heads), std::vector<double>(heads), {}, {}};
  for (std::size_t head = 0; head < heads; ++head) {
    std::int64_t counted = 0;
    for (std::int64_t i = static_cast<std::int64_t>(head) * rows; i < static_cast<std::int64_t>(head + 1) * rows; ++i) {
      result.entropy[head] += static_cast<double>(entropy.floats()[i]);
      result.distance[head] += static_cast<double>(distance.floats()[i]);
      counted += weights.floats()[i] != 0.0f;
    }
    if (counted == 0) continue;
    result.entropy[head] /= static_cast<double>(counted);
    result.distance[head] /= static_cast<double>(counted);
  }
  if (!of_rows) return result;
  result.row_entropy = entropy.reshaped({static_cast<std::int64_t>(heads), rows});
  result.row_distance = distance.reshaped({static_cast<std::int64_t>(heads), rows});
  return result;
}

}  // namespace heed
