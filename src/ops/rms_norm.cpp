#include "ops/checks.h"

namespace heed {

Var rms_norm(const Var& x, const Var& gain, float epsilon, DType result) {
  check_vector("rms_norm", "gain", gain, x.width(), x);
  Pass& pass = x.pass();
  Tensor y = pass.tensor(x.shape(), result);
  Tensor inverse_rms = pass.tensor({x.tokens()});  // kept: the backward needs it, x̂ can be had from it
  kernels::rms_norm(x.value().view(), gain.value().floats(), epsilon, y.view(), inverse_rms.floats(), pass.pool());
  return pass.record(y, {&x, &gain}, [=, &pass](const Tensor& dy, Gradients& d) {
    // x̂ = x·inverse_rms;  dx = inverse_rms·(gain·dy − x̂·mean(gain·dy·x̂));  dgain = Σ_tokens dy·x̂
    const auto dx = d.to(x), dgain = d.to(gain);
    kernels::rms_norm_backward(
        x.value().view(), gain.value().floats(), inverse_rms.floats(), dy.view(),
        {.x = dx.view, .accumulate_x = dx.accumulate, .gain = dgain.floats(), .accumulate_gain = dgain.accumulate},
        pass.pool());
  });
}

}  // namespace heed
