#include "kernels/cpu/optimiser.h"

#include "kernels/cpu/elements.h"

namespace heed::HEED_ISA {

namespace {

/// With g = scale·gradient + coupled_decay·w:  m = β₁m + (1 − β₁)g,  v = β₂v + (1 − β₂)g²,
/// w = (1 − rate·decay)·w − rate · (m/correction₁) / (sqrt(v/correction₂) + ε).
void adam(float* weight, const float* gradient, float* first, float* second, std::int64_t count,
          const kernels::Adam& options) {
  const F beta1 = set1(static_cast<float>(options.beta1)), rest1 = set1(static_cast<float>(1.0 - options.beta1));
  const F beta2 = set1(static_cast<float>(options.beta2)), rest2 = set1(static_cast<float>(1.0 - options.beta2));
  const F scale = set1(options.gradient_scale), coupled = set1(options.coupled_decay);
  const F kept = set1(static_cast<float>(1.0 - static_cast<double>(options.rate) * static_cast<double>(options.decay)));
  const F rate = set1(options.rate / options.correction1);
  const F root = set1(1.0f / __builtin_sqrtf(options.correction2)), epsilon = set1(options.epsilon);
  for_vectors(count, [&](std::int64_t j, auto n) {
    const F w = load(weight + j, n);
    const F g = fma(coupled, w, scale * load(gradient + j, n));
    const F m = fma(beta1, load(first + j, n), rest1 * g);
    const F v = fma(beta2, load(second + j, n), rest2 * g * g);
    store(first + j, m, n);
    store(second + j, v, n);
    store(weight + j, kept * w - rate * m / fma(sqrt(v), root, epsilon), n);
  });
}

void sgd(float* weight, const float* gradient, float* velocity, std::int64_t count, float rate, float momentum,
         float decay, float gradient_scale) {
  for_vectors(count, [&](std::int64_t j, auto n) {
    const F w = load(weight + j, n);
    F step = fma(set1(decay), w, set1(gradient_scale) * load(gradient + j, n));
    if (velocity) {
      step = fma(set1(momentum), load(velocity + j, n), step);
      store(velocity + j, step, n);
    }
    store(weight + j, w - set1(rate) * step, n);
  });
}

}  // namespace

extern const kernels::OptimiserKernels optimiser_kernels;
const kernels::OptimiserKernels optimiser_kernels = {adam, sgd};

}  // namespace heed::HEED_ISA
