#include "ops/checks.h"

namespace heed {

Var layer_norm(const Var& x, const Var& gain, const Var& bias, float epsilon, DType result) {
  check_vector("layer_norm", "gain", gain, x.width(), x);
  check_vector("layer_norm", "bias", bias, x.width(), x);
  Pass& pass = x.pass();
  Tensor y = pass.tensor(x.shape(), result);
  Tensor mean = pass.tensor({x.tokens()});
  Tensor inverse_deviation = pass.tensor({x.tokens()});  // both kept: with x, the backward needs nothing else
  kernels::layer_norm(x.value().view(), gain.value().floats(), floats_or_null(bias), epsilon, y.view(), mean.floats(),
                      inverse_deviation.floats(), pass.pool());
  return pass.record(y, {&x, &gain, &bias}, [=, &pass](const Tensor& dy, Gradients& d) {
    // x̂ = (x − mean)·r;  dx = r·(g·dy − mean(g·dy) − x̂·mean(g·dy·x̂));  dgain = Σ dy·x̂;  dbias = Σ dy
    const auto dx = d.to(x), dgain = d.to(gain), dbias = bias ? d.to(bias) : GradientTarget{};
    kernels::layer_norm_backward(x.value().view(), gain.value().floats(), mean.floats(), inverse_deviation.floats(),
                                 dy.view(),
                                 {.x = dx.view,
                                  .accumulate_x = dx.accumulate,
                                  .gain = dgain.floats(),
                                  .accumulate_gain = dgain.accumulate,
                                  .bias = dbias.floats(),
                                  .accumulate_bias = dbias.accumulate},
                                 pass.pool());
  });
}

}  // namespace heed
