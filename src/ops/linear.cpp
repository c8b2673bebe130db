#include "ops/checks.h"

namespace heed {

namespace {

Var product(const Var& x, const Var& weight, const Var& bias, const Var& residual, DType result) {
  if (weight.shape().rank() != 2 || weight.width() != x.width())
    throw Error("linear: x is {}, weight is {}; weight must be [out, {}]", x.shape(), weight.shape(), x.width());
  const std::int64_t out = weight.shape()[0];
  check_vector("linear", "bias", bias, out, x);
  if (residual && residual.shape() != Shape{x.tokens(), out})
    throw Error("linear: residual is {}, the product is [{}, {}]", residual.shape(), x.tokens(), out);

  Pass& pass = x.pass();
  Tensor y = pass.tensor({x.tokens(), out}, result);
  if (residual) kernels::convert(residual.value().view(), y.view(), pass.pool());
  kernels::matmul({.m = x.tokens(),
                   .n = out,
                   .k = x.width(),
                   .a = x.value().view(),
                   .b = weight.value().view(),
                   .b_transposed = true,
                   .c = y.view(),
                   .bias = floats_or_null(bias),
                   .accumulate = static_cast<bool>(residual),
                   .product = product_of(pass)},
                  pass.pool());

  return pass.record(y, {&x, &weight, &bias, &residual},
                     [x, weight, bias = bias.place(), residual = residual.place(), has_bias = static_cast<bool>(bias),
                      has_residual = static_cast<bool>(residual), out, &pass](const Tensor& dy, Gradients& d) {
                       if (has_residual) d.pass_on(residual, dy);
                       if (const auto db = has_bias ? d.to(bias) : GradientTarget{})
                         kernels::sum_rows(dy.view(), db.floats(), db.accumulate, pass.pool());
                       // Both products below read dy: rounded once here rather than in each.
                       Tensor factor = dy;
                       if (pass.precision() == Precision::bfloat16) {
                         factor = pass.tensor(dy.shape(), DType::bfloat16);
                         kernels::convert(dy.view(), factor.view(), pass.pool());
                       }
                       if (const auto dx = d.to(x))  // dx = dy·W
                         kernels::matmul({.m = x.tokens(),
                                          .n = x.width(),
                                          .k = out,
                                          .a = factor.view(),
                                          .b = weight.value().view(),
                                          .c = dx.view,
                                          .accumulate = dx.accumulate,
                                          .product = product_of(pass)},
                                         pass.pool());
                       if (const auto dw = d.to(weight))  // dW = dyᵀ·x
                         kernels::matmul({.m = out,
                                          .n = x.width(),
                                          .k = x.tokens(),
                                          .a = factor.view(),
                                          .a_transposed = true,
                                          .b = x.value().view(),
                                          .c = dw.view,
                                          .accumulate = dw.accumulate,
                                          .product = product_of(pass)},
                                         pass.pool());
                     });
}

}  // namespace

Var linear(const Var& x, const Var& weight, const Var& bias, DType result) {
  return product(x, weight, bias, Var(), result);
}

Var linear_add(const Var& x, const Var& weight, const Var& bias, const Var& residual) {
  return product(x, weight, bias, residual, DType::float32);
}

}  // namespace heed
