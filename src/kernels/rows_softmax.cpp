#include "kernels/cpu/softmax.h"
#include "kernels/dispatch.h"
#include "kernels/rows.h"
#include "kernels/rows_pieces.h"

HEED_DECLARE_KERNELS(kernels::SoftmaxKernels, softmax_kernels)

namespace heed::kernels {

namespace {
constexpr Tables<SoftmaxKernels> tables = HEED_KERNEL_TABLES(softmax_kernels);
}

void softmax_cross_entropy(View logits, const std::int32_t* targets, float smoothing, View gradient, float* loss,
                           float* negative_log_likelihood, float* correct, ThreadPool& pool) {
  for_rows(logits.rows, logits.width, pool, [&](std::int64_t begin, std::int64_t rows) {
    tables.best().cross_entropy(rows_of(logits, begin, rows), targets + begin, smoothing,
                                rows_of(gradient, begin, rows), loss + begin, negative_log_likelihood + begin,
                                correct + begin);
  });
}

void softmax_rows(View x, bool logarithm, ThreadPool& pool) {
  for_rows(x.rows, x.width, pool,
           [&](std::int64_t begin, std::int64_t rows) { tables.best().softmax(rows_of(x, begin, rows), logarithm); });
}

}  // namespace heed::kernels
