#include "kernels/matmul.h"

#include <algorithm>

#include "kernels/cpu/matmul.h"
#include "kernels/dispatch.h"

HEED_DECLARE_KERNELS(kernels::MatmulKernels, matmul_kernels)

namespace heed::kernels {

namespace {

constexpr Tables<MatmulKernels> tables = HEED_KERNEL_TABLES(matmul_kernels);

constexpr std::int64_t least_work = 1 << 19;  // multiply-adds worth waking a thread for
constexpr std::int64_t tasks_a_thread = 4;    // so that a thread that is disturbed leaves its share to others

std::int64_t pieces_of(std::int64_t whole, std::int64_t piece) { return (whole + piece - 1) / piece; }
/// `whole` in at most `pieces` equal pieces whose length is a multiple of `unit`: that length.
std::int64_t piece_length(std::int64_t whole, std::int64_t pieces, std::int64_t unit) {
  return std::max(unit, pieces_of(pieces_of(whole, pieces), unit) * unit);
}

/// Rows and columns of the blocks that C is cut into. Each block packs its own columns of B (so few cuts of the rows
/// are best), and its own rows of A where A must be packed (so wide blocks are).
struct Cut {
  std::int64_t rows, columns;
};
Cut cut(const Matmul& task, std::int64_t tile_columns, std::int64_t threads) {
  std::int64_t column_pieces = pieces_of(task.n, widest_block);
  std::int64_t row_pieces = 1;
  const std::int64_t work = task.m * task.n * std::max<std::int64_t>(task.k, 1);
  if (threads > 1 && work >= 2 * least_work) {
    const std::int64_t wanted = std::min(tasks_a_thread * threads, work / least_work);
    row_pieces = std::clamp<std::int64_t>(pieces_of(wanted, column_pieces), 1, pieces_of(task.m, 8 * tile_rows));
    // Equal shares: a number of blocks that the threads divide evenly, if a few more cuts make it one.
    const std::int64_t most = std::min(row_pieces + threads - 1, pieces_of(task.m, tile_rows));
    for (std::int64_t pieces = row_pieces; pieces <= most; ++pieces)
      if (pieces * column_pieces % threads == 0) {
        row_pieces = pieces;
        break;
      }
    if (row_pieces * column_pieces < wanted)
      column_pieces = std::min(pieces_of(wanted, row_pieces), pieces_of(task.n, tile_columns));
  }
  return {piece_length(task.m, row_pieces, tile_rows), piece_length(task.n, column_pieces, tile_columns)};
}

}  // namespace

const MatmulKernels& matmul_kernels_of(InstructionSet set) { return tables[set]; }

void matmul(const Matmul& task, ThreadPool& pool) { matmul(task, pool, tables.best()); }

void matmul(const Matmul& task, ThreadPool& pool, const MatmulKernels& kernels) {
  if (task.m <= 0 || task.n <= 0) return;
  const std::int64_t threads = pool.threads();
  if (task.b_transposed && !task.a_transposed && task.m <= dot_rows && task.k > 0) {
    // Long runs of B's rows: memory is read fastest so.
    const std::int64_t pieces =
        threads == 1 ? 1 : std::clamp<std::int64_t>(task.m * task.n * task.k / least_work, 1, tasks_a_thread * threads);
    const std::int64_t columns = piece_length(task.n, pieces, 16);
    pool.parallel_for(pieces_of(task.n, columns),
                      [&](std::int64_t i) { kernels.dots(task, i * columns, std::min(task.n, (i + 1) * columns)); });
    return;
  }
  const Cut block = cut(task, kernels.tile_columns, threads);
  const std::int64_t across = pieces_of(task.n, block.columns);
  const std::int64_t down = pieces_of(task.m, block.rows);
  // Neighbouring tasks share their columns of B.
  pool.parallel_for(across * down, [&](std::int64_t i) {
    const std::int64_t row = i % down * block.rows;
    const std::int64_t column = i / down * block.columns;
    kernels.tiles(task, {row, std::min(task.m, row + block.rows), column, std::min(task.n, column + block.columns)});
  });
}

}  // namespace heed::kernels
