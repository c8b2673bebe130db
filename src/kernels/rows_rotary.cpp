#include <cmath>

#include "kernels/cpu/rotary.h"
#include "kernels/dispatch.h"
#include "kernels/rows.h"
#include "kernels/rows_pieces.h"

HEED_DECLARE_KERNELS(kernels::RotaryKernels, rotary_kernels)

namespace heed::kernels {

namespace {
constexpr Tables<RotaryKernels> tables = HEED_KERNEL_TABLES(rotary_kernels);
}

void rotate(View x, const std::int32_t* positions, const Rotary& rotary, View y, ThreadPool& pool) {
  std::vector<double> frequencies;  // at most a head's width of them
  for (int i = 0; i < rotary.rotated / 2; ++i) {
    const double frequency = std::pow(static_cast<double>(rotary.base), -2.0 * i / rotary.rotated);
    frequencies.insert(frequencies.end(), rotary.interleaved ? 2 : 1, frequency);
  }
  for_rows(x.rows, x.width, pool, [&](std::int64_t begin, std::int64_t rows) {
    tables.best().rotate(rows_of(x, begin, rows), positions + begin, frequencies.data(), rotary,
                         rows_of(y, begin, rows));
  });
}

void rotate_by(View x, const std::int32_t* positions, View cosines, View sines, const Rotary& rotary, View y,
               ThreadPool& pool) {
  for_rows(x.rows, x.width, pool, [&](std::int64_t begin, std::int64_t rows) {
    tables.best().rotate_by(rows_of(x, begin, rows), positions + begin, cosines, sines, rotary,
                            rows_of(y, begin, rows));
  });
}

}  // namespace heed::kernels
