#include "kernels/cpu/softmax.h"

#include "kernels/cpu/elements.h"

namespace heed::HEED_ISA {

namespace {

/// What one pass over a row of logits tells.
struct RowState {
  float maximum = -3.402823466e38f;  // finite, so that logits of −∞ weigh 0
  double sum = 0.0;                  ///< Σ exp(x − maximum)
  double total = 0.0;                ///< Σ x
  double log_sum() const { return static_cast<double>(maximum) + __builtin_log(sum); }
};

/// One pass, in blocks that stay in the first-level cache: when a block brings a larger maximum, the sum so far is
/// scaled once (the online softmax of Milakov & Gimelshein 2018, arXiv:1805.02867, a block at a time).
RowState read_row(const float* row, std::int64_t width) {
  constexpr std::int64_t block = 1024;
  RowState state;
  for (std::int64_t begin = 0; begin < width; begin += block) {
    const float* const from = row + begin;
    const std::int64_t count = width - begin < block ? width - begin : block;
    F largest = set1(state.maximum);
    for_vectors(count, [&](std::int64_t j, auto n) { largest = max(keep(load(from + j, n), n, largest), largest); });
    const float maximum = reduce_max(largest);
    if (maximum > state.maximum) {
      state.sum *= __builtin_exp(static_cast<double>(state.maximum) - static_cast<double>(maximum));
      state.maximum = maximum;
    }
    F total = zero();
    const F sum = sum_vectors(count, [&](std::int64_t j, auto n) {
      const F x = load(from + j, n);
      total += x;
      return keep(exp(x - set1(maximum)), n);
    });
    state.sum += static_cast<double>(reduce_add(sum));
    state.total += static_cast<double>(reduce_add(total));
  }
  return state;
}

bool is_first_largest(const float* row, std::int64_t target, float maximum) {
  if (row[target] != maximum) return false;
  I found = {};
  for_vectors(target, [&](std::int64_t j, auto n) {
    found |= keep(load(row + j, n), n, set1(-__builtin_inff())) == set1(maximum);
  });
  std::int32_t any = 0;
  for (int i = 0; i < lanes; ++i) any |= found[i];
  return any == 0;
}

/// p − smoothing/width − (1 − smoothing)·[j = target]; in place when `to` is `row`.
template <class G>
void write_gradient(const float* row, std::int64_t width, std::int64_t target, float smoothing, const RowState& state,
                    G* to) {
  const F maximum = set1(state.maximum), scale = set1(static_cast<float>(1.0 / state.sum));
  const F even = set1(smoothing / static_cast<float>(width));
  // The target's element before it may be overwritten, and rounded once.
  const F chance = exp(set1(row[target]) - maximum) * scale;
  const F of_target = (chance - even) - set1(1.0f - smoothing);
  for_vectors(width,
              [&](std::int64_t j, auto n) { store(to + j, fma(exp(load(row + j, n) - maximum), scale, -even), n); });
  store(to + target, of_target, 1);
}

void cross_entropy(View logits, const std::int32_t* targets, float smoothing, View gradient, float* loss,
                   float* negative_log_likelihood, float* correct) {
  const std::int64_t width = logits.width;
  with_type(gradient, [&]<class G>(G*) {
    for (std::int64_t i = 0; i < logits.rows; ++i) {
      const float* const row = row_of(logits, i);
      G* const to = gradient.data ? row_of<G>(gradient, i) : nullptr;
      const std::int64_t target = targets[i];
      if (target < 0) {
        loss[i] = negative_log_likelihood[i] = correct[i] = 0.0f;
        if (to) for_vectors(width, [&](std::int64_t j, auto n) { store(to + j, zero(), n); });
        continue;
      }
      const RowState state = read_row(row, width);
      const double likelihood = state.log_sum() - static_cast<double>(row[target]);
      const double evenly = state.log_sum() - state.total / static_cast<double>(width);
      const auto smooth = static_cast<double>(smoothing);
      negative_log_likelihood[i] = static_cast<float>(likelihood);
      // Without smoothing, infinite logits elsewhere in the row must not turn the loss into 0·∞.
      loss[i] = static_cast<float>(smooth == 0.0 ? likelihood : (1.0 - smooth) * likelihood + smooth * evenly);
      correct[i] = is_first_largest(row, target, state.maximum) ? 1.0f : 0.0f;
      if (to) write_gradient(row, width, target, smoothing, state, to);
    }
  });
}

void softmax(View x, bool logarithm) {
  for (std::int64_t i = 0; i < x.rows; ++i) {
    float* const row = row_of(x, i);
    const RowState state = read_row(row, x.width);
    const F maximum = set1(state.maximum);
    const F scale = set1(static_cast<float>(1.0 / state.sum)),
            shift = set1(static_cast<float>(__builtin_log(state.sum)));
    if (logarithm)
      for_vectors(x.width, [&](std::int64_t j, auto n) { store(row + j, (load(row + j, n) - maximum) - shift, n); });
    else
      for_vectors(x.width, [&](std::int64_t j, auto n) { store(row + j, exp(load(row + j, n) - maximum) * scale, n); });
  }
}

}  // namespace

extern const kernels::SoftmaxKernels softmax_kernels;
const kernels::SoftmaxKernels softmax_kernels = {cross_entropy, softmax};

}  // namespace heed::HEED_ISA
