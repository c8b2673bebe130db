#include <algorithm>

#include "ops/checks.h"

namespace heed {

namespace {

/// to (+)= x∘y.
void multiply_into(const GradientTarget& to, const Tensor& x, const Tensor& y, ThreadPool& pool) {
  constexpr std::int64_t piece = 1 << 14;
  const std::int64_t elements = x.elements();
  pool.parallel_for((elements + piece - 1) / piece, [&](std::int64_t i) {
    const std::int64_t begin = i * piece, end = std::min(elements, begin + piece);
    const float *a = x.floats(), *b = y.floats();
    float* z = to.floats();
    if (to.accumulate)
      for (std::int64_t j = begin; j < end; ++j) z[j] += a[j] * b[j];
    else
      for (std::int64_t j = begin; j < end; ++j) z[j] = a[j] * b[j];
  });
}

}  // namespace

Var multiply(const Var& x, const Var& y) {
  if (x.shape() != y.shape()) throw Error("multiply: x is {}, y is {}; both must have one shape", x.shape(), y.shape());
  Pass& pass = x.pass();
  Tensor z = pass.tensor(x.shape());
  multiply_into({z.view(), false}, x.value(), y.value(), pass.pool());
  return pass.record(z, {&x, &y}, [x, y, &pass](const Tensor& dz, Gradients& d) {
    if (const auto dx = d.to(x)) multiply_into(dx, dz, y.value(), pass.pool());
    if (const auto dy = d.to(y)) multiply_into(dy, dz, x.value(), pass.pool());
  });
}

}  // namespace heed
