#include <algorithm>
#include <cmath>

#include "kernels/rows_pieces.h"
#include "ops/checks.h"
#include "ops/cross_entropy.h"

namespace heed {

namespace {

using kernels::rows_of;

/// The weights of every token over its source, one sequence after another: [tokens, source tokens] each.
struct CopyWeights {
  Tensor weights;
  std::vector<std::int64_t> begins;  ///< of each sequence
  float scale = 1.0f;

  Tensor of(std::int64_t i, std::int64_t tokens, std::int64_t places) const {
    return Tensor::borrow(weights.floats() + begins[static_cast<std::size_t>(i)], {tokens, places});
  }
};

CopyWeights copy_weights(Pass& pass, const Var& query, const Var& key) {
  const Sequences &tokens = query.sequences(), &places = key.sequences();
  CopyWeights copy;
  copy.scale = 1.0f / std::sqrt(static_cast<float>(query.width()));
  std::int64_t total = 0;
  for (std::int64_t i = 0; i < tokens.count(); ++i) {
    copy.begins.push_back(total);
    total += tokens.length(i) * places.length(i);
  }
  copy.weights = pass.tensor({total});
  for (std::int64_t i = 0; i < tokens.count(); ++i) {
    const Tensor scores = copy.of(i, tokens.length(i), places.length(i));
    kernels::matmul({.m = tokens.length(i),
                     .n = places.length(i),
                     .k = query.width(),
                     .a = rows_of(query.value().view(), tokens.begin(i), tokens.length(i)),
                     .b = rows_of(key.value().view(), places.begin(i), places.length(i)),
                     .b_transposed = true,
                     .c = scores.view(),
                     .product = product_of(pass)},
                    pass.pool());
    for (std::int64_t j = 0; j < scores.elements(); ++j) scores.floats()[j] *= copy.scale;
    kernels::softmax_rows(scores.view(), false, pass.pool());
  }
  return copy;
}

/// From weights to the gradient of their scores, in place: (1 − ε)·(1 − share)·(a_j − [it is the target]·a_j/a) for the
/// negative logarithm of the mixture, whose part that was copied is 1 − share.
void score_gradients(float* weights, std::span<const std::int32_t> ids, std::int32_t target, float copied,
                     float factor) {
  for (std::size_t j = 0; j < ids.size(); ++j) {
    const bool match = target >= 0 && ids[j] == target && copied > 0.0f;
    weights[j] = factor * (match ? weights[j] - weights[j] / copied : weights[j]);
  }
}

}  // namespace

Loss copy_cross_entropy(const Var& hidden, const Var& weight, const Var& bias, const CopySource& source,
                        std::span<const std::int32_t> targets, float label_smoothing) {
  const Sequences &tokens = hidden.sequences(), &places = source.key.sequences();
  if (source.query.tokens() != hidden.tokens() || source.query.width() != source.key.width() ||
      places.count() != tokens.count() || source.gate.shape() != Shape{hidden.tokens(), 1} ||
      static_cast<std::int64_t>(source.ids.size()) != source.key.tokens())
    throw Error("copy_cross_entropy: query is {}, key is {} with {} ids, gate is {} for hidden {}",
                source.query.shape(), source.key.shape(), source.ids.size(), source.gate.shape(), hidden.shape());
  if (static_cast<std::int64_t>(targets.size()) != hidden.tokens())
    throw Error("copy_cross_entropy: {} targets for {} rows", targets.size(), hidden.tokens());
  Pass& pass = hidden.pass();
  const CopyWeights copy = copy_weights(pass, source.query, source.key);
  const std::int64_t rows = hidden.tokens();
  const Tensor parts = pass.tensor({3, rows});
  float *const gate = parts.floats(), *const copied = gate + rows, *const share = copied + rows;
  for (std::int64_t i = 0; i < tokens.count(); ++i) {
    const Tensor weights = copy.of(i, tokens.length(i), places.length(i));
    const auto ids =
        source.ids.subspan(static_cast<std::size_t>(places.begin(i)), static_cast<std::size_t>(places.length(i)));
    for (std::int64_t t = 0; t < tokens.length(i); ++t) {
      const std::int64_t row = tokens.begin(i) + t;
      const std::int32_t target = targets[static_cast<std::size_t>(row)];
      gate[row] = 1.0f / (1.0f + std::exp(-source.gate.value().floats()[row]));
      copied[row] = 0.0f;
      for (std::size_t j = 0; j < ids.size() && target >= 0; ++j)
        if (ids[j] == target) copied[row] += weights.floats()[t * places.length(i) + static_cast<std::int64_t>(j)];
    }
  }
  const Mixture mixture{gate, copied, share};
  Loss result = corrected_cross_entropy(hidden, weight, bias, targets, label_smoothing, {}, {}, &mixture);
  const float counted = 1.0f - label_smoothing;
  result.sum = pass.record(
      result.sum.value(), {&result.sum, &source.query, &source.key, &source.gate},
      [=, sum = result.sum.place(), query = source.query, key = source.key, gate_place = source.gate.place(), &pass,
       ids = std::vector<std::int32_t>(source.ids.begin(), source.ids.end()),
       to = std::vector<std::int32_t>(targets.begin(), targets.end())](const Tensor& dy, Gradients& d) {
        d.pass_on(sum, dy);
        const Sequences &of_tokens = query.sequences(), &of_places = key.sequences();
        const float *const g = parts.floats(), *const a = g + rows, *const w = a + rows;
        if (const auto dgate = d.to(gate_place))
          for (std::int64_t row = 0; row < rows; ++row) {
            const float found = to[static_cast<std::size_t>(row)] < 0 ? 0.0f : counted * (g[row] - w[row]);
            dgate.floats()[row] = found + (dgate.accumulate ? dgate.floats()[row] : 0.0f);
          }
        const auto dquery = d.to(query), dkey = d.to(key);
        for (std::int64_t i = 0; i < of_tokens.count(); ++i) {
          const std::int64_t begin = of_tokens.begin(i), m = of_tokens.length(i), n = of_places.length(i);
          const Tensor gradient = copy.of(i, m, n);
          const auto own =
              std::span(ids).subspan(static_cast<std::size_t>(of_places.begin(i)), static_cast<std::size_t>(n));
          for (std::int64_t t = 0; t < m; ++t) {
            const std::int32_t target = to[static_cast<std::size_t>(begin + t)];
            const float factor = target < 0 ? 0.0f : counted * (1.0f - w[begin + t]) * copy.scale;
            score_gradients(gradient.floats() + t * n, own, target, a[begin + t], factor);
          }
          const auto product = [&](const GradientTarget& target, std::int64_t first, std::int64_t count,
                                   std::int64_t inner, bool transposed, const Var& other, std::int64_t from) {
            if (target)
              kernels::matmul({.m = count,
                               .n = query.width(),
                               .k = inner,
                               .a = gradient.view(),
                               .a_transposed = transposed,
                               .b = rows_of(other.value().view(), from, inner),
                               .c = rows_of(target.view, first, count),
                               .accumulate = target.accumulate,
                               .product = product_of(pass)},
                              pass.pool());
          };
          product(dquery, begin, m, n, false, key, of_places.begin(i));
          product(dkey, of_places.begin(i), n, m, true, query, begin);
        }
      });
  return result;
}

}  // namespace heed
