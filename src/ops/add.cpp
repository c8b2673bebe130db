#include "ops/checks.h"

namespace heed {

Var add(const Var& x, const Var& y) {
  if (x.shape() != y.shape()) throw Error("add: x is {}, y is {}; both must have one shape", x.shape(), y.shape());
  Pass& pass = x.pass();
  Tensor z = pass.tensor(x.shape());
  kernels::add(x.value().view(), y.value().view(), z.view(), pass.pool());
  return pass.record(z, {&x, &y}, [x = x.place(), y = y.place()](const Tensor& dz, Gradients& d) {
    d.pass_on(x, dz);
    d.pass_on(y, dz);
  });
}

}  // namespace heed
