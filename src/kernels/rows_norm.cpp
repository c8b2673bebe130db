#include "kernels/cpu/norm.h"
#include "kernels/dispatch.h"
#include "kernels/rows.h"
#include "kernels/rows_pieces.h"

HEED_DECLARE_KERNELS(kernels::NormKernels, norm_kernels)

namespace heed::kernels {

namespace {

constexpr Tables<NormKernels> tables = HEED_KERNEL_TABLES(norm_kernels);

/// Rows are cut once, for the gradients of x, gain and bias together: x and dy are read once.
template <class Piece>
void backward_pieces(View x, const NormGradients& to, ThreadPool& pool, Piece&& piece) {
  const std::int64_t width = x.width, gains = to.gain ? width : 0, biases = to.bias ? width : 0;
  if (gains + biases == 0) {
    for_rows(x.rows, width, pool, [&](std::int64_t begin, std::int64_t rows) { piece(begin, rows, nullptr, nullptr); });
    return;
  }
  RowSums sums(x.rows, gains + biases, width);
  sums.run(pool, [&](std::int64_t begin, std::int64_t rows, float* sum) {
    piece(begin, rows, to.gain ? sum : nullptr, to.bias ? sum + gains : nullptr);
  });
  sums.add_to(to.gain, to.accumulate_gain, 0, gains);
  sums.add_to(to.bias, to.accumulate_bias, gains, biases);
}

}  // namespace

void layer_norm(View x, const float* gain, const float* bias, float epsilon, View y, float* mean,
                float* inverse_deviation, ThreadPool& pool) {
  for_rows(x.rows, x.width, pool, [&](std::int64_t begin, std::int64_t rows) {
    tables.best().layer(rows_of(x, begin, rows), gain, bias, epsilon, rows_of(y, begin, rows), mean + begin,
                        inverse_deviation + begin);
  });
}

void layer_norm_backward(View x, const float* gain, const float* mean, const float* inverse_deviation, View dy,
                         const NormGradients& to, ThreadPool& pool) {
  backward_pieces(x, to, pool, [&](std::int64_t begin, std::int64_t rows, float* gain_sum, float* bias_sum) {
    tables.best().layer_backward(rows_of(x, begin, rows), gain, mean + begin, inverse_deviation + begin,
                                 rows_of(dy, begin, rows), rows_of(to.x, begin, rows), to.accumulate_x, gain_sum,
                                 bias_sum);
  });
}

void rms_norm(View x, const float* gain, float epsilon, View y, float* inverse_rms, ThreadPool& pool) {
  for_rows(x.rows, x.width, pool, [&](std::int64_t begin, std::int64_t rows) {
    tables.best().rms(rows_of(x, begin, rows), gain, epsilon, rows_of(y, begin, rows), inverse_rms + begin);
  });
}

void rms_norm_backward(View x, const float* gain, const float* inverse_rms, View dy, const NormGradients& to,
                       ThreadPool& pool) {
  backward_pieces(x, to, pool, [&](std::int64_t begin, std::int64_t rows, float* gain_sum, float*) {
    tables.best().rms_backward(rows_of(x, begin, rows), gain, inverse_rms + begin, rows_of(dy, begin, rows),
                               rows_of(to.x, begin, rows), to.accumulate_x, gain_sum);
  });
}

}  // namespace heed::kernels
