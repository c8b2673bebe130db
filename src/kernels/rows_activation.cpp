#include "kernels/cpu/activation.h"
#include "kernels/dispatch.h"
#include "kernels/rows.h"
#include "kernels/rows_pieces.h"

HEED_DECLARE_KERNELS(kernels::ActivationKernels, activation_kernels)

namespace heed::kernels {

namespace {
constexpr Tables<ActivationKernels> tables = HEED_KERNEL_TABLES(activation_kernels);
}

void activate(Activation kind, View x, View y, ThreadPool& pool) {
  for_elements(std::array{x, y}, pool,
               [&](const auto& part, std::int64_t) { tables.best().activate(kind, part[0], part[1]); });
}

void activate_backward(Activation kind, View x, View dy, View dx, bool accumulate, ThreadPool& pool) {
  for_elements(std::array{x, dy, dx}, pool, [&](const auto& part, std::int64_t) {
    tables.best().activate_backward(kind, part[0], part[1], part[2], accumulate);
  });
}

void gate(Activation kind, View x, View y, ThreadPool& pool) {
  for_rows(x.rows, x.width, pool, [&](std::int64_t begin, std::int64_t rows) {
    tables.best().gate(kind, rows_of(x, begin, rows), rows_of(y, begin, rows));
  });
}

void gate_backward(Activation kind, View x, View dy, View dx, bool accumulate, ThreadPool& pool) {
  for_rows(x.rows, x.width, pool, [&](std::int64_t begin, std::int64_t rows) {
    tables.best().gate_backward(kind, rows_of(x, begin, rows), rows_of(dy, begin, rows), rows_of(dx, begin, rows),
                                accumulate);
  });
}

}  // namespace heed::kernels
