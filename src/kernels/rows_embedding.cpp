#include "kernels/cpu/embedding.h"
#include "kernels/dispatch.h"
#include "kernels/rows.h"
#include "kernels/rows_pieces.h"

HEED_DECLARE_KERNELS(kernels::EmbeddingKernels, embedding_kernels)

namespace heed::kernels {

namespace {
constexpr Tables<EmbeddingKernels> tables = HEED_KERNEL_TABLES(embedding_kernels);
}

void gather(View table, const std::int32_t* ids, std::int64_t count, float scale, View y, ThreadPool& pool) {
  for_rows(count, y.width, pool, [&](std::int64_t begin, std::int64_t rows) {
    tables.best().gather(table, ids + begin, rows, scale, rows_of(y, begin, rows));
  });
}

void scatter_add(View dy, const std::int32_t* ids, std::int64_t count, float scale, View table, ThreadPool& pool) {
  // A few whole cache lines of columns, or as many as make a piece worth its thread.
  const std::int64_t lines = 64, least = piece_elements / std::max<std::int64_t>(1, count);
  const std::int64_t step = std::max(lines, (least + lines - 1) / lines * lines);
  pool.parallel_for((dy.width + step - 1) / step, [&](std::int64_t i) {
    const std::int64_t begin = i * step, width = std::min(step, dy.width - begin);
    tables.best().scatter_add(columns_of(dy, begin, width), ids, count, scale, columns_of(table, begin, width));
  });
}

}  // namespace heed::kernels
