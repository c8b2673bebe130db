#include "ops/cross_entropy.h"

#include <algorithm>
#include <cmath>

#include "ops/checks.h"

namespace heed {

namespace {

/// Rows of logits held at a time: enough that packing the weight is a small part of the product, at most about 128 MiB.
std::int64_t chunk_rows(std::int64_t classes) {
  return std::max<std::int64_t>(64, (std::int64_t{1} << 25) / std::max<std::int64_t>(classes, 1) / 16 * 16);
}

/// Adds a correction to each logit but those of the rows' targets.
void correct(const Tensor& logits, std::span<const float> corrections, std::span<const std::int32_t> targets,
             ThreadPool& pool) {
  const std::int64_t classes = logits.width();
  pool.parallel_for(logits.rows(), [&](std::int64_t i) {
    float* const row = logits.floats() + i * classes;
    const std::int32_t target = targets[static_cast<std::size_t>(i)];
    const float own = target >= 0 ? row[target] : 0.0f;
    for (std::int64_t j = 0; j < classes; ++j) row[j] += corrections[static_cast<std::size_t>(j)];
    if (target >= 0) row[target] = own;
  });
}

/// From a row's losses under the softmax, its target's probability p there and the other's a, to those of the mixture
/// g·p + (1 − g)·a, with w = g·p of it:
///   gradient = c·softmax − (1 − ε)·w·onehot − ε/classes, where c = (1 − ε)·w + ε,
/// made of what is there, softmax − (1 − ε)·onehot − ε/classes.
void mix_row(const Mixture& mixture, std::int64_t row, float smoothing, std::int32_t target, float& loss,
             float& likelihood, float* gradient, std::int64_t classes) {
  const double g = static_cast<double>(mixture.gate[row]), p = std::exp(-static_cast<double>(likelihood));
  const double mixed = std::max(g * p + (1.0 - g) * static_cast<double>(mixture.other[row]), 1e-37);
  const double share = g * p / mixed, epsilon = static_cast<double>(smoothing);
  mixture.share[row] = static_cast<float>(share);
  const double smoothed = static_cast<double>(loss) - (1.0 - epsilon) * static_cast<double>(likelihood);
  likelihood = static_cast<float>(-std::log(mixed));
  loss = static_cast<float>((1.0 - epsilon) * static_cast<double>(likelihood) + smoothed);
  if (!gradient) return;
  const double scale = (1.0 - epsilon) * share + epsilon;
  const auto c = static_cast<float>(scale);
  const auto shift = static_cast<float>(epsilon * (scale - 1.0) / static_cast<double>(classes));
  for (std::int64_t j = 0; j < classes; ++j) gradient[j] = c * gradient[j] + shift;
  gradient[target] += static_cast<float>((1.0 - epsilon) * (scale - share));
}

}  // namespace

Loss cross_entropy(const Var& hidden, const Var& weight, const Var& bias, std::span<const std::int32_t> targets,
                   float label_smoothing, std::span<const float> row_weights) {
  return corrected_cross_entropy(hidden, weight, bias, targets, label_smoothing, row_weights, {});
}

Loss corrected_cross_entropy(const Var& hidden, const Var& weight, const Var& bias,
                             std::span<const std::int32_t> targets, float label_smoothing,
                             std::span<const float> row_weights, std::span<const float> corrections,
                             const Mixture* mixture) {
  const std::int64_t rows = hidden.tokens(), width = hidden.width(), classes = weight.shape()[0];
  if (weight.width() != width)
    throw Error("cross_entropy: hidden is {}, weight is {}; weight must be [classes, {}]", hidden.shape(),
                weight.shape(), width);
  if (static_cast<std::int64_t>(targets.size()) != rows)
    throw Error("cross_entropy: {} targets for {} rows", targets.size(), rows);
  if (!row_weights.empty() && static_cast<std::int64_t>(row_weights.size()) != rows)
    throw Error("cross_entropy: {} row weights for {} rows", row_weights.size(), rows);
  check_vector("cross_entropy", "bias", bias, classes, hidden);
  for (std::size_t i = 0; i < targets.size(); ++i)
    if (targets[i] < -1 || targets[i] >= classes)
      throw Error("cross_entropy: target {} of row {} is outside the {} classes", targets[i], i, classes);

  Pass& pass = hidden.pass();
  const bool differentiate = pass.recording({&hidden, &weight, &bias});
  const kernels::Product product = product_of(pass);
  Gradients gradients = pass.gradients();
  Tensor dhidden = differentiate && gradients.wanted(hidden) ? pass.tensor({rows, width}) : Tensor();
  Tensor losses = pass.tensor({3, rows});
  float* loss = losses.floats();
  const std::int64_t chunk = std::min(chunk_rows(classes), std::max<std::int64_t>(rows, 1));
  Tensor logits = pass.tensor({chunk, classes});
  Tensor rounded = differentiate && product == kernels::Product::bfloat16
                       ? pass.tensor({chunk, classes}, DType::bfloat16)
                       : Tensor();
  for (std::int64_t begin = 0; begin < rows; begin += chunk) {
    const std::int64_t end = std::min(rows, begin + chunk), m = end - begin;
    const Tensor part = logits.slice(0, m);
    const View x = hidden.value().slice(begin, end).view();
    kernels::matmul({.m = m,
                     .n = classes,
                     .k = width,
                     .a = x,
                     .b = weight.value().view(),
                     .b_transposed = true,
                     .c = part.view(),
                     .bias = floats_or_null(bias),
                     .product = product},
                    pass.pool());
    if (!corrections.empty()) correct(part, corrections, targets.subspan(static_cast<std::size_t>(begin)), pass.pool());
    const bool changed = (!row_weights.empty() || mixture) && differentiate;
    // A gradient that is weighted or mixed is so before it is rounded.
    Tensor gradient = !differentiate ? Tensor() : rounded && !changed ? rounded.slice(0, m) : part;
    kernels::softmax_cross_entropy(part.view(), targets.data() + begin, label_smoothing,
                                   differentiate ? gradient.view() : View{}, loss + begin, loss + rows + begin,
                                   loss + 2 * rows + begin, pass.pool());
    if (mixture)
      pass.pool().parallel_for(m, [&](std::int64_t i) {
        const std::int32_t target = targets[static_cast<std::size_t>(begin + i)];
        if (target < 0)
          mixture->share[begin + i] = mixture->gate[begin + i];
        else
          mix_row(*mixture, begin + i, label_smoothing, target, loss[begin + i], loss[rows + begin + i],
                  differentiate ? part.floats() + i * classes : nullptr, classes);
      });
    if (!differentiate) continue;
    if (!row_weights.empty())
      for (std::int64_t i = 0; i < m; ++i)
        for (std::int64_t j = 0; j < classes; ++j)
          part.floats()[i * classes + j] *= row_weights[static_cast<std::size_t>(begin + i)];
    if (changed && rounded) {
      gradient = rounded.slice(0, m);
      kernels::convert(part.view(), gradient.view(), pass.pool());
    }
    if (dhidden)
      kernels::matmul({.m = m,
                       .n = width,
                       .k = classes,
                       .a = gradient.view(),
                       .b = weight.value().view(),
                       .c = dhidden.slice(begin, end).view(),
                       .product = product},
                      pass.pool());
    if (const auto dw = gradients.to(weight))
      kernels::matmul({.m = classes,
                       .n = width,
                       .k = m,
                       .a = gradient.view(),
                       .a_transposed = true,
                       .b = x,
                       .c = dw.view,
                       .accumulate = dw.accumulate,
                       .product = product},
                      pass.pool());
    if (const auto db = bias ? gradients.to(bias) : GradientTarget{})
      kernels::sum_rows(gradient.view(), db.floats(), db.accumulate, pass.pool());
  }

  Loss result;
  double sum = 0.0, correct = 0.0;
  for (std::int64_t i = 0; i < rows; ++i) {
    result.count += targets[static_cast<std::size_t>(i)] >= 0;
    sum += loss[i] * (row_weights.empty() ? 1.0 : static_cast<double>(row_weights[static_cast<std::size_t>(i)]));
    result.negative_log_likelihood += loss[rows + i];
    correct += loss[2 * rows + i];
  }
  result.correct = static_cast<std::int64_t>(correct);
  Tensor total = pass.tensor({1});
  total.floats()[0] = static_cast<float>(sum);
  result.total = sum;
  result.sum = pass.record(total, {&hidden, &weight, &bias}, [=](const Tensor& dy, Gradients& d) {
    // The forward added the weight's gradient for a loss that starts from 1, so nothing else can be started from.
    if (dy.floats()[0] != 1.0f)
      throw Error("cross_entropy: backward must start from the loss itself (gradient 1, not {})", dy.floats()[0]);
    if (dhidden) d.pass_on(hidden, dhidden);
  });
  return result;
}

}  // namespace heed
