#include <heed/random.h>

#include <atomic>
#include <cmath>

#include "kernels/cpu/elementwise.h"
#include "kernels/dispatch.h"
#include "kernels/rows.h"
#include "kernels/rows_pieces.h"

HEED_DECLARE_KERNELS(kernels::ElementwiseKernels, elementwise_kernels)

namespace heed::kernels {

namespace {
constexpr Tables<ElementwiseKernels> tables = HEED_KERNEL_TABLES(elementwise_kernels);
}

void add_scaled(View x, float a, View y, float b, ThreadPool& pool) {
  for_elements(std::array{x, y}, pool,
               [&](const auto& part, std::int64_t) { tables.best().add_scaled(part[0], a, part[1], b); });
}

void add(View x, View y, View z, ThreadPool& pool) {
  for_elements(std::array{x, y, z}, pool,
               [&](const auto& part, std::int64_t) { tables.best().add(part[0], part[1], part[2]); });
}

void convert(View from, View to, ThreadPool& pool) {
  for_elements(std::array{from, to}, pool,
               [&](const auto& part, std::int64_t) { tables.best().convert(part[0], part[1]); });
}

void sum_rows(View x, float* sum, bool accumulate, ThreadPool& pool) {
  RowSums sums(x.rows, x.width, x.width);
  sums.run(pool, [&](std::int64_t begin, std::int64_t rows, float* part) {
    tables.best().add_rows(rows_of(x, begin, rows), part);
  });
  sums.add_to(sum, accumulate, 0, x.width);
}

double sum_of_squares(View x, ThreadPool& pool) {
  // At most 1024 pieces: their sums lie on the stack, and are added in order.
  const View flat = x.row_stride == x.width || x.rows == 1 ? View{x.data, x.dtype, 1, x.rows * x.width, 0} : x;
  const bool whole = flat.rows == 1;
  const std::int64_t extent = whole ? flat.width : flat.rows;
  const std::int64_t least =
      whole ? piece_elements : std::max<std::int64_t>(1, piece_elements / std::max<std::int64_t>(1, x.width));
  const std::int64_t step = std::max(least, (extent + 1023) / 1024);
  const std::int64_t pieces = (extent + step - 1) / step;
  std::array<double, 1024> sums{};
  pool.parallel_for(pieces, [&](std::int64_t i) {
    const std::int64_t begin = i * step, count = std::min(step, extent - begin);
    sums[static_cast<std::size_t>(i)] =
        tables.best().sum_of_squares(whole ? columns_of(flat, begin, count) : rows_of(flat, begin, count));
  });
  double sum = 0.0;
  for (std::int64_t i = 0; i < pieces; ++i) sum += sums[static_cast<std::size_t>(i)];
  return sum;
}

bool all_finite(View x, ThreadPool& pool) {
  std::atomic<bool> finite = true;
  for_elements(std::array{x}, pool, [&](const auto& part, std::int64_t) {
    if (!tables.best().all_finite(part[0])) finite = false;
  });
  return finite;
}

void dropout(View x, float rate, std::uint64_t key, View y, bool accumulate, ThreadPool& pool) {
  // 2³² · rate rounded; a rate of 1 keeps nothing, and its scale would be infinite.
  const double cut = std::round(std::ldexp(static_cast<double>(rate), 32));
  const auto threshold = static_cast<std::uint32_t>(std::min(cut, 4294967295.0));
  const float scale = rate < 1.0f ? 1.0f / (1.0f - rate) : 0.0f;
  for_elements(std::array{x, y}, pool, [&](const auto& part, std::int64_t first) {
    const auto upper = static_cast<std::uint64_t>(first) >> 32;
    tables.best().dropout(part[0], threshold, scale, upper == 0 ? key : RandomKey{key}.fold(upper).seed,
                          static_cast<std::uint32_t>(first), part[1], accumulate);
  });
}

}  // namespace heed::kernels
