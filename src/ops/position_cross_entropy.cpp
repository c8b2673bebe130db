#include <algorithm>
#include <cmath>

#include "ops/checks.h"

namespace heed {

Loss position_cross_entropy(const Var& scores, const std::vector<std::span<const std::int32_t>>& targets) {
  const Sequences& sequences = scores.sequences();
  const std::int64_t count = sequences.count(), width = scores.width();
  if (static_cast<std::int64_t>(targets.size()) != width)
    throw Error("position_cross_entropy: {} lists of targets for scores {}; each column needs one", targets.size(),
                scores.shape());
  for (const auto& column : targets) {
    if (static_cast<std::int64_t>(column.size()) != count)
      throw Error("position_cross_entropy: {} targets for {} sequences", column.size(), count);
    for (std::int64_t i = 0; i < count; ++i)
      if (const std::int32_t target = column[static_cast<std::size_t>(i)]; target < -1 || target >= sequences.length(i))
        throw Error("position_cross_entropy: target {} of sequence {} is outside its {} tokens", target, i,
                    sequences.length(i));
  }

  Pass& pass = scores.pass();
  const bool differentiate = pass.recording({&scores});
  Tensor gradient = differentiate ? pass.tensor(scores.shape()) : Tensor();
  if (differentiate) std::fill_n(gradient.floats(), scores.tokens() * width, 0.0f);
  const float* score = scores.value().floats();
  Loss result;
  for (std::int64_t i = 0; i < count; ++i)
    for (std::int64_t column = 0; column < width; ++column) {
      const std::int32_t target = targets[static_cast<std::size_t>(column)][static_cast<std::size_t>(i)];
      if (target < 0) continue;
      const std::int64_t begin = sequences.begin(i), length = sequences.length(i);
      const auto at = [&](std::int64_t t) { return static_cast<double>(score[(begin + t) * width + column]); };
      std::int64_t best = 0;
      for (std::int64_t t = 1; t < length; ++t)
        if (at(t) > at(best)) best = t;
      double sum = 0.0;
      for (std::int64_t t = 0; t < length; ++t) sum += std::exp(at(t) - at(best));
      result.total += std::log(sum) + at(best) - at(target);
      result.correct += best == target;
      ++result.count;
      if (!differentiate) continue;
      for (std::int64_t t = 0; t < length; ++t)  // softmax less the target
        gradient.floats()[(begin + t) * width + column] =
            static_cast<float>(std::exp(at(t) - at(best)) / sum - (t == target));
    }
  result.negative_log_likelihood = result.total;
  Tensor total = pass.tensor({1});
  total.floats()[0] = static_cast<float>(result.total);
  result.sum = pass.record(total, {&scores}, [=](const Tensor& dy, Gradients& d) {
    if (dy.floats()[0] != 1.0f)
      throw Error("position_cross_entropy: backward must start from the loss itself (gradient 1, not {})",
                  dy.floats()[0]);
    d.pass_on(scores, gradient);
  });
  return result;
}

}  // namespace heed
