#include "ops/checks.h"

namespace heed {

namespace {

void check_rate(const char* operation, float rate) {
  if (!(rate >= 0.0f && rate < 1.0f)) throw Error("{}: rate is {}; it must be in [0, 1)", operation, rate);
}

}  // namespace

Var dropout(const Var& x, float rate) {
  check_rate("dropout", rate);
  Pass& pass = x.pass();
  if (!pass.training() || rate == 0.0f) return x;
  const std::uint64_t key = pass.next_key().seed;
  Tensor y = pass.tensor(x.shape());
  kernels::dropout(x.value().view(), rate, key, y.view(), false, pass.pool());
  return pass.record(y, {&x}, [x = x.place(), rate, key, &pass](const Tensor& dy, Gradients& d) {
    // The draws are a function of key and place, so the mask is made again, not kept.
    if (const auto dx = d.to(x)) kernels::dropout(dy.view(), rate, key, dx.view, dx.accumulate, pass.pool());
  });
}

Var add_dropout(const Var& residual, const Var& x, float rate) {
  check_rate("add_dropout", rate);
  Pass& pass = x.pass();
  if (!pass.training() || rate == 0.0f) return add(residual, x);
  if (x.shape() != residual.shape()) throw Error("add_dropout: x is {}, residual is {}", x.shape(), residual.shape());
  const std::uint64_t key = pass.next_key().seed;
  Tensor y = pass.tensor(x.shape());
  kernels::convert(residual.value().view(), y.view(), pass.pool());
  kernels::dropout(x.value().view(), rate, key, y.view(), true, pass.pool());
  return pass.record(y, {&residual, &x},
                     [residual = residual.place(), x = x.place(), rate, key, &pass](const Tensor& dy, Gradients& d) {
                       if (const auto dx = d.to(x))
                         kernels::dropout(dy.view(), rate, key, dx.view, dx.accumulate, pass.pool());
                       d.pass_on(residual, dy);
                     });
}

}  // namespace heed
