#include "kernels/cpu/optimiser.h"
#include "kernels/dispatch.h"
#include "kernels/rows.h"
#include "kernels/rows_pieces.h"

HEED_DECLARE_KERNELS(kernels::OptimiserKernels, optimiser_kernels)

namespace heed::kernels {

namespace {

constexpr Tables<OptimiserKernels> tables = HEED_KERNEL_TABLES(optimiser_kernels);

template <class Piece>
void for_ranges(std::int64_t count, ThreadPool& pool, Piece&& piece) {
  pool.parallel_for((count + piece_elements - 1) / piece_elements, [&](std::int64_t i) {
    piece(i * piece_elements, std::min(piece_elements, count - i * piece_elements));
  });
}

}  // namespace

void adam(float* weight, const float* gradient, float* first, float* second, std::int64_t count, const Adam& options,
          ThreadPool& pool) {
  for_ranges(count, pool, [&](std::int64_t begin, std::int64_t length) {
    tables.best().adam(weight + begin, gradient + begin, first + begin, second + begin, length, options);
  });
}

void sgd(float* weight, const float* gradient, float* velocity, std::int64_t count, float rate, float momentum,
         float decay, float gradient_scale, ThreadPool& pool) {
  for_ranges(count, pool, [&](std::int64_t begin, std::int64_t length) {
    tables.best().sgd(weight + begin, gradient + begin, velocity ? velocity + begin : nullptr, length, rate, momentum,
                      decay, gradient_scale);
  });
}

}  // namespace heed::kernels
