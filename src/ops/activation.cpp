#include <array>

#include "ops/checks.h"

namespace heed {

namespace {

// The kernels' enumeration has the same order; a public header may not name it.
kernels::Activation kernel_of(ActivationKind kind) { return static_cast<kernels::Activation>(kind); }
static_assert(static_cast<int>(kernels::Activation::relu) == static_cast<int>(ActivationKind::relu));
static_assert(static_cast<int>(kernels::Activation::sigmoid) == static_cast<int>(ActivationKind::sigmoid));

}  // namespace

ActivationKind activation_named(const std::string& name) {
  constexpr std::array names{"relu", "gelu", "gelu_tanh", "silu", "tanh", "sigmoid"};
  for (std::size_t i = 0; i < names.size(); ++i)
    if (name == names[i]) return static_cast<ActivationKind>(i);
  throw Error("activation \"{}\" is unknown: relu, gelu, gelu_tanh, silu, tanh and sigmoid are known", name);
}

Var activate(const Var& x, ActivationKind kind) {
  Pass& pass = x.pass();
  Tensor y = pass.tensor(x.shape(), x.dtype());
  kernels::activate(kernel_of(kind), x.value().view(), y.view(), pass.pool());
  return pass.record(y, {&x}, [=, &pass](const Tensor& dy, Gradients& d) {
    if (const auto dx = d.to(x))
      kernels::activate_backward(kernel_of(kind), x.value().view(), dy.view(), dx.view, dx.accumulate, pass.pool());
  });
}

Var gated(const Var& x, ActivationKind kind) {
  if (x.width() % 2 != 0) throw Error("gated: x is {}; its width must be twice the result's", x.shape());
  Pass& pass = x.pass();
  Tensor y = pass.tensor({x.tokens(), x.width() / 2}, x.dtype());
  kernels::gate(kernel_of(kind), x.value().view(), y.view(), pass.pool());
  return pass.record(y, {&x}, [=, &pass](const Tensor& dy, Gradients& d) {
    if (const auto dx = d.to(x))
      kernels::gate_backward(kernel_of(kind), x.value().view(), dy.view(), dx.view, dx.accumulate, pass.pool());
  });
}

}  // namespace heed
