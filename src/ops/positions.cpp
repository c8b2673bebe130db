#include <cmath>

#include "ops/checks.h"

namespace heed {

namespace {

/// The position of every token, in the order of the rows.
Tensor token_positions(const Var& x) {
  const Sequences& sequences = x.sequences();
  Tensor positions = x.pass().tensor({x.tokens()}, DType::int32);
  auto* to = positions.as<std::int32_t>();
  for (std::int64_t i = 0; i < sequences.count(); ++i)
    for (std::int64_t t = 0; t < sequences.length(i); ++t)
      to[sequences.begin(i) + t] = static_cast<std::int32_t>(sequences.position(i) + t);
  return positions;
}

}  // namespace

Var add_learned_positions(const Var& x, const Var& table) {
  Pass& pass = x.pass();
  if (table.width() != x.width())
    throw Error("add_learned_positions: x is {}, the table is {}", x.shape(), table.shape());
  const Tensor positions = token_positions(x);
  const auto* position = positions.as<std::int32_t>();
  for (std::int64_t i = 0; i < x.tokens(); ++i)
    if (position[i] >= table.shape()[0])
      throw Error(
          "a sequence reaches position {}, but the model has learned only {}: raise model.context or cut the input",
          position[i] + 1, table.shape()[0]);
  Tensor y = pass.tensor(x.shape());
  kernels::gather(table.value().view(), position, x.tokens(), 1.0f, y.view(), pass.pool());
  kernels::add_scaled(x.value().view(), 1.0f, y.view(), 1.0f, pass.pool());
  return pass.record(y, {&x, &table}, [x = x.place(), table, positions, &pass](const Tensor& dy, Gradients& d) {
    d.pass_on(x, dy);
    if (const auto dt = d.to(table)) {
      if (!dt.accumulate) Tensor::borrow(dt.view.data, table.shape()).fill(0.0f);
      kernels::scatter_add(dy.view(), positions.as<std::int32_t>(), dy.rows(), 1.0f, dt.view, pass.pool());
    }
  });
}

Var add_sinusoidal_positions(const Var& x) {
  Pass& pass = x.pass();
  const std::int64_t width = x.width();
  const Tensor positions = token_positions(x);
  const auto* position = positions.as<std::int32_t>();
  // One row a position that occurs, from the first to the last: sequences share them, and a running generation makes
  // few.
  std::int32_t first = 0, last = -1;
  for (std::int64_t i = 0; i < x.tokens(); ++i) {
    first = i == 0 ? position[i] : std::min(first, position[i]);
    last = std::max(last, position[i]);
  }
  const std::int64_t count = last < first ? 0 : last - first + 1;
  Tensor table = pass.tensor({count, width});
  pass.pool().parallel_for(count, [&](std::int64_t row) {
    float* to = table.floats() + row * width;
    for (std::int64_t j = 0; j < width; ++j) {
      const double angle = static_cast<double>(first + row) *
                           std::pow(10000.0, -static_cast<double>(j / 2 * 2) / static_cast<double>(width));
      to[j] = static_cast<float>(j % 2 == 0 ? std::sin(angle) : std::cos(angle));
    }
  });
  for (std::int64_t i = 0; i < x.tokens(); ++i)
    positions.as<std::int32_t>()[i] -= first;  // from here on: rows of the table
  Tensor y = pass.tensor(x.shape());
  kernels::gather(table.view(), position, x.tokens(), 1.0f, y.view(), pass.pool());
  kernels::add_scaled(x.value().view(), 1.0f, y.view(), 1.0f, pass.pool());
  return pass.record(y, {&x}, [x = x.place()](const Tensor& dy, Gradients& d) { d.pass_on(x, dy); });
}

}  // namespace heed
