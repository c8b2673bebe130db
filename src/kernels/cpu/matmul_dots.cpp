// A few rows times a transposed matrix (a layer's weights, when decoding): each row of B meets all of A while it passes
// by, once, from memory, and nothing is packed but A.
#include "kernels/cpu/matmul_dots.h"

#include "kernels/cpu/matmul.h"
#include "kernels/cpu/matmul_units.h"

namespace heed::HEED_ISA {

namespace {

using kernels::dot_rows;
using kernels::Matmul;

constexpr std::int64_t most_units = 2048;    // of k, of A in scratch
constexpr std::int64_t batch_columns = 256;  // of C, whose sums are kept between the ranges of k
constexpr int group_rows = 4;                // of A, that one passage of a row of B serves
constexpr int chains = 4;                    // of sums, to hide the latency of a multiply-add

/// sums[r] += a's row r · b over `left` elements, in `chains` interleaved sums whose order k alone decides.
template <class Units, int rows, class S>
HEED_INLINE void dot(const float* a, std::int64_t a_stride, const S* b, std::int64_t left, float* sums) {
  F sum[rows][chains] = {};
  constexpr std::int64_t step = lanes * Units::elements;
  std::int64_t u = 0;
  for (; left >= chains * step; left -= chains * step, u += chains * lanes)
    for (int i = 0; i < chains; ++i) {
      const F right = load_along<Units>(b + u * Units::elements + i * step, step);
      for (int r = 0; r < rows; ++r)
        sum[r][i] = Units::multiply_add(load(a + r * a_stride + u + i * lanes), right, sum[r][i]);
    }
  for (int i = 0; i < chains; ++i) {
    if (left <= i * step) break;
    const F right = load_along<Units>(b + u * Units::elements + i * step, left - i * step);
    for (int r = 0; r < rows; ++r)
      sum[r][i] = Units::multiply_add(load(a + r * a_stride + u + i * lanes), right, sum[r][i]);
  }
  for (int r = 0; r < rows; ++r)
    sums[r * batch_columns] += reduce_add((sum[r][0] + sum[r][1]) + (sum[r][2] + sum[r][3]));
}

template <class Units, class S>
void dot_all(const float* a, int rows, const S* b, std::int64_t b_stride, std::int64_t columns, std::int64_t left,
             float* sums) {
  for (std::int64_t c = 0; c < columns; ++c) {
    const S* row = b + c * b_stride;
    int r = 0;
    for (; r + group_rows <= rows; r += group_rows)
      dot<Units, group_rows>(a + r * most_units, most_units, row, left, sums + r * batch_columns + c);
    const float* rest = a + r * most_units;
    float* to = sums + r * batch_columns + c;
    if (rows - r == 1) dot<Units, 1>(rest, most_units, row, left, to);
    if (rows - r == 2) dot<Units, 2>(rest, most_units, row, left, to);
    if (rows - r == 3) dot<Units, 3>(rest, most_units, row, left, to);
  }
}

void finish(const Matmul& task, const float* sums, std::int64_t column, std::int64_t columns) {
  for (std::int64_t r = 0; r < task.m; ++r)
    for (std::int64_t c = 0; c < columns; c += lanes) {
      const int count = static_cast<int>(columns - c < lanes ? columns - c : lanes);
      const std::int64_t place = r * task.c.row_stride + column + c;
      F value = set1(task.alpha) * load(sums + r * batch_columns + c);
      if (task.bias) value += load_floats(task.bias + column + c, count);
      if (task.c.dtype == DType::bfloat16) {
        store_bfloat16(static_cast<std::uint16_t*>(task.c.data) + place, value, count);
      } else {
        float* to = static_cast<float*>(task.c.data) + place;
        if (task.accumulate) value += load_floats(to, count);
        store(to, value, count);
      }
    }
}

template <class Units>
void dots_of(const Matmul& task, std::int64_t column_begin, std::int64_t column_end) {
  alignas(64) float a[dot_rows * most_units];
  alignas(64) float sums[dot_rows * batch_columns];
  const int rows = static_cast<int>(task.m);
  constexpr std::int64_t most = most_units * Units::elements;
  for (std::int64_t column = column_begin; column < column_end; column += batch_columns) {
    const std::int64_t columns = column_end - column < batch_columns ? column_end - column : batch_columns;
    for (std::int64_t i = 0; i < rows * batch_columns; ++i) sums[i] = 0.0f;
    for (std::int64_t k = 0; k < task.k; k += most) {
      const std::int64_t left = task.k - k < most ? task.k - k : most;
      for (int r = 0; r < rows; ++r)
        with_type(task.a.dtype, address(task.a, r, k), [&](const auto* from) {
          for (std::int64_t u = 0; u * Units::elements < left; u += lanes)
            store(a + r * most_units + u, load_along<Units>(from + u * Units::elements, left - u * Units::elements));
        });
      with_type(task.b.dtype, address(task.b, column, k),
                [&](const auto* b) { dot_all<Units>(a, rows, b, task.b.row_stride, columns, left, sums); });
    }
    finish(task, sums, column, columns);
  }
}

}  // namespace

void matmul_dots(const Matmul& task, std::int64_t column_begin, std::int64_t column_end) noexcept {
  if (task.product == kernels::Product::bfloat16)
    dots_of<BFloat16Units>(task, column_begin, column_end);
  else
    dots_of<Float32Units>(task, column_begin, column_end);
}

}  // namespace heed::HEED_ISA
