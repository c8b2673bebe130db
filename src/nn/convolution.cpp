#include <heed/nn.h>

namespace heed {

Convolution::Convolution(std::int64_t in, std::int64_t filters, std::vector<std::int64_t> kernel_widths,
                         ActivationKind kind)
    : widths(std::move(kernel_widths)), activation(kind) {
  if (widths.empty()) throw Error("convolution: there must be a kernel width");
  for (const std::int64_t width : widths) kernels.emplace_back(width * in, filters);
}

Var Convolution::operator()(const Var& x) const {
  Pass& pass = x.pass();
  Var all;
  for (std::size_t i = 0; i < kernels.size(); ++i) {
    const Var one = convolve(x, pass.use(kernels[i].weight), pass.use(kernels[i].bias), widths[i]);
    all = all ? beside(all, one) : one;
  }
  return activate(all, activation);
}

std::int64_t Convolution::width() const {
  return static_cast<std::int64_t>(kernels.size()) * kernels.front().weight.shape()[0];
}

}  // namespace heed
