#include <algorithm>

#include "kernels/rows_pieces.h"
#include "ops/checks.h"

namespace heed {

namespace {

/// Packed rows with `gap` rows of zeros between and around the sequences, `before` of them before the first: row
/// begin(i) + i·gap + before is sequence i's first. A window of gap + 1 rows then never sees two sequences.
Tensor apart(Pass& pass, const Tensor& x, const SequencesPointer& sequences, std::int64_t gap, std::int64_t before) {
  const Tensor rows = pass.tensor({x.rows() + sequences->count() * gap, x.width()}, x.dtype());
  const std::int64_t bytes = x.width() * size_of(x.dtype());
  const auto* from = static_cast<const char*>(x.data());
  auto* to = static_cast<char*>(rows.data());
  pass.pool().parallel_for(sequences->count(), [&](std::int64_t i) {
    char* row = to + (sequences->begin(i) + i * gap) * bytes;
    const std::int64_t length = sequences->length(i);
    row = std::fill_n(row, before * bytes, '\0');
    row = std::copy_n(from + sequences->begin(i) * bytes, length * bytes, row);
    std::fill_n(row, (gap - before) * bytes, '\0');
  });
  return rows;
}

/// All windows of so many successive rows, each as one row: the rows overlap in memory.
View windows_of(const Tensor& rows, std::int64_t width) {
  View view = rows.view();
  view.rows = std::max<std::int64_t>(0, view.rows - width + 1);
  view.width *= width;
  return view;
}

/// What stands at the windows that begin with a token's first neighbour; the others lie across two sequences.
void take_own(Pass& pass, const Tensor& of_windows, const SequencesPointer& sequences, std::int64_t gap, View to,
              bool accumulate) {
  const std::int64_t width = to.width;
  pass.pool().parallel_for(sequences->count(), [&](std::int64_t i) {
    const float* from = of_windows.floats() + (sequences->begin(i) + i * gap) * width;
    float* result = to.floats() + sequences->begin(i) * width;
    const std::int64_t count = sequences->length(i) * width;
    for (std::int64_t j = 0; j < count; ++j) result[j] = accumulate ? result[j] + from[j] : from[j];
  });
}

/// The weight for going back: of a window of dy's neighbours, those after a token first. [width·out, in]
Tensor turned(Pass& pass, const Tensor& weight, std::int64_t width) {
  const std::int64_t out = weight.shape()[0], in = weight.width() / width;
  const Tensor result = pass.tensor({width * out, in});
  for (std::int64_t j = 0; j < width; ++j)
    for (std::int64_t o = 0; o < out; ++o)
      std::copy_n(weight.floats() + o * weight.width() + (width - 1 - j) * in, in,
                  result.floats() + (j * out + o) * in);
  return result;
}

Tensor factor_of(Pass& pass, const Tensor& x) {
  if (x.dtype() == pass.product_dtype() || pass.precision() != Precision::bfloat16) return x;
  const Tensor rounded = pass.tensor(x.shape(), DType::bfloat16);
  kernels::convert(x.view(), rounded.view(), pass.pool());
  return rounded;
}

}  // namespace

Var convolve(const Var& x, const Var& weight, const Var& bias, std::int64_t width) {
  if (width < 1) throw Error("convolve: the kernel is {} wide; it must be 1 or more", width);
  if (weight.shape().rank() != 2 || weight.width() != width * x.width())
    throw Error("convolve: x is {}, weight is {}; a kernel {} wide needs [out, {}]", x.shape(), weight.shape(), width,
                width * x.width());
  const std::int64_t out = weight.shape()[0], in = x.width(), gap = width - 1, before = gap / 2;
  check_vector("convolve", "bias", bias, out, x);
  Pass& pass = x.pass();
  x.sequences();  // throws when there are none
  const SequencesPointer sequences = x.sequences_pointer();

  const Tensor rows = apart(pass, factor_of(pass, x.value()), sequences, gap, before);
  const View windows = windows_of(rows, width);
  const Tensor y = pass.tensor({x.tokens(), out});
  {
    const Tensor of_windows = gap > 0 ? pass.tensor({windows.rows, out}) : y;
    kernels::matmul({.m = windows.rows,
                     .n = out,
                     .k = windows.width,
                     .a = windows,
                     .b = weight.value().view(),
                     .b_transposed = true,
                     .c = of_windows.view(),
                     .bias = floats_or_null(bias),
                     .product = product_of(pass)},
                    pass.pool());
    if (gap > 0) take_own(pass, of_windows, sequences, gap, y.view(), false);
  }

  return pass.record(y, {&x, &weight, &bias},
                     [=, x = x.place(), bias = bias.place(), has_bias = static_cast<bool>(bias), &pass](
                         const Tensor& dy, Gradients& d) {
                       if (const auto db = has_bias ? d.to(bias) : GradientTarget{})
                         kernels::sum_rows(dy.view(), db.floats(), db.accumulate, pass.pool());
                       const auto dx = d.to(x), dw = d.to(weight);
                       if (!dx && !dw) return;
                       // A window of dy begins as far before its token as x's ends behind it.
                       const Tensor gradient = apart(pass, factor_of(pass, dy), sequences, gap, gap - before);
                       if (dx) {
                         const Tensor of_windows = pass.tensor({windows.rows, in});
                         const Tensor back = turned(pass, weight.value(), width);
                         kernels::matmul({.m = windows.rows,
                                          .n = in,
                                          .k = width * out,
                                          .a = windows_of(gradient, width),
                                          .b = back.view(),
                                          .c = of_windows.view(),
                                          .product = product_of(pass)},
                                         pass.pool());
                         take_own(pass, of_windows, sequences, gap, dx.view, dx.accumulate);
                       }
                       if (dw)  // zeros stand where a window belongs to no token
                         kernels::matmul({.m = out,
                                          .n = windows.width,
                                          .k = windows.rows,
                                          .a = kernels::rows_of(gradient.view(), gap - before, windows.rows),
                                          .a_transposed = true,
                                          .b = windows_of(rows, width),
                                          .c = dw.view,
                                          .accumulate = dw.accumulate,
                                          .product = product_of(pass)},
                                         pass.pool());
                     });
}

Var beside(const Var& x, const Var& y) {
  if (x.tokens() != y.tokens() || x.dtype() != DType::float32 || y.dtype() != DType::float32)
    throw Error("beside: x is {} {}, y is {} {}; both must be float32 of equally many rows", name_of(x.dtype()),
                x.shape(), name_of(y.dtype()), y.shape());
  Pass& pass = x.pass();
  const Tensor both = pass.tensor({x.tokens(), x.width() + y.width()});
  kernels::convert(x.value().view(), kernels::columns_of(both.view(), 0, x.width()), pass.pool());
  kernels::convert(y.value().view(), kernels::columns_of(both.view(), x.width(), y.width()), pass.pool());
  return pass.record(both, {&x, &y},
                     [x = x.place(), y = y.place(), behind = x.width(), &pass](const Tensor& dy, Gradients& d) {
                       const auto give = [&](const Var& to, std::int64_t begin) {
                         if (const auto dto = d.to(to))
                           kernels::add_scaled(kernels::columns_of(dy.view(), begin, dto.view.width), 1.0f, dto.view,
                                               dto.accumulate ? 1.0f : 0.0f, pass.pool());
                       };
                       give(x, 0);
                       give(y, behind);
                     });
}

}  // namespace heed
