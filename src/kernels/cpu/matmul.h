#pragma once
#include "kernels/dispatch.h"
#include "kernels/matmul.h"

namespace heed::kernels {

/// A block of C: rows [row_begin, row_end), columns [column_begin, column_end).
struct Block {
  std::int64_t row_begin, row_end, column_begin, column_end;
};

/// Both compute a block of C over the whole of k, on the calling thread, and allocate nothing: their scratch, below
/// 512 KiB, lies on the stack. How C is cut into blocks changes no bit of it.
struct MatmulKernels {
  /// Any product. At most `widest_block` columns; row_begin a multiple of 6 and column_begin one of `tile_columns`.
  void (*tiles)(const Matmul& task, const Block& block) noexcept;
  /// m ≤ `dot_rows` and b_transposed: B is read once, as it lies.
  void (*dots)(const Matmul& task, std::int64_t column_begin, std::int64_t column_end) noexcept;
  int tile_columns;
};

inline constexpr std::int64_t widest_block = 256;
inline constexpr std::int64_t tile_rows = 6;
inline constexpr std::int64_t dot_rows = 8;

/// The kernels of one instruction set, which must be available().
const MatmulKernels& matmul_kernels_of(InstructionSet set);
/// What `matmul` does, with the given kernels.
void matmul(const Matmul& task, ThreadPool& pool, const MatmulKernels& kernels);

}  // namespace heed::kernels
