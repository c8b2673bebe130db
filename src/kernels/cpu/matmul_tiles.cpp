// Blocked matrix product (Goto & van de Geijn 2008): a tile of C of 6 rows × 4 vectors stays in registers (2 vectors
// where there are 16 registers) while k runs; the columns of B that a block needs are packed into panels as wide as the
// tile, which stay in the second-level cache.
#include "kernels/cpu/matmul.h"
#include "kernels/cpu/matmul_dots.h"
#include "kernels/cpu/matmul_units.h"

namespace heed::HEED_ISA {

namespace {

using kernels::Block;
using kernels::Matmul;
using kernels::tile_rows;
using kernels::widest_block;

constexpr int tile_vectors = lanes == 16 ? 4 : 2;
constexpr int panel_width = tile_vectors * lanes;
constexpr std::int64_t most_units = 384;                          // of k, in a packed panel
constexpr std::int64_t group_rows = 8 * tile_rows;                // of A, packed at a time
constexpr std::int64_t direct_rows = 2 * tile_rows;               // up to here, B is read where it lies if it can be
constexpr std::int64_t partial_rows = 192, partial_columns = 64;  // of a bfloat16 C whose sums must wait in float32

struct Scratch {
  alignas(64) float b[widest_block * most_units];
  alignas(64) float a[group_rows * most_units];
};
/// Where a tile's sums go: target = alpha·sum (+ bias) (+ addend). Pointers are to the first element of the whole of C.
struct Target {
  float* floats = nullptr;          // or
  std::uint16_t* halves = nullptr;  // bfloat16
  std::int64_t stride = 0;
  const float* addend = nullptr;
  std::int64_t addend_stride = 0;
  const float* bias = nullptr;
  float alpha = 1.0f;
};
/// Unit u of row r lies at data + r·row + u·unit, all in bytes.
struct Strip {
  const char* data;
  std::int64_t row, unit;
};
/// A range of k, in units; `elements` of k belong to it (an odd one fewer than whole pairs at the end of k).
struct Range {
  std::int64_t begin, units, elements;
};

HEED_INLINE F broadcast(const char* from) {
  float value;
  __builtin_memcpy(&value, from, sizeof value);
  return set1(value);
}

template <int rows, int vectors>
HEED_INLINE void finish(F (&sum)[rows][vectors], const Target& to, std::int64_t row, std::int64_t column, int columns) {
  const int tail = columns - (vectors - 1) * lanes;  // elements of the last vector
  const F alpha = set1(to.alpha);
  HEED_UNROLL for (int r = 0; r < rows; ++r) HEED_UNROLL for (int v = 0; v < vectors; ++v) sum[r][v] *= alpha;
  if (to.bias) {
    HEED_UNROLL for (int v = 0; v < vectors; ++v) {
      const F bias = load_floats(to.bias + column + v * lanes, v + 1 < vectors ? lanes : tail);
      HEED_UNROLL for (int r = 0; r < rows; ++r) sum[r][v] += bias;
    }
  }
  if (to.addend) {
    const float* from = to.addend + row * to.addend_stride + column;
    HEED_UNROLL for (int r = 0; r < rows; ++r) HEED_UNROLL for (int v = 0; v < vectors; ++v) sum[r][v] +=
        load_floats(from + r * to.addend_stride + v * lanes, v + 1 < vectors ? lanes : tail);
  }
  if (to.floats) {
    float* place = to.floats + row * to.stride + column;
    HEED_UNROLL for (int r = 0; r < rows; ++r) HEED_UNROLL for (int v = 0; v < vectors; ++v) {
      float* at = place + r * to.stride + v * lanes;
      v + 1 < vectors || tail == lanes ? store(at, sum[r][v]) : store(at, sum[r][v], tail);
    }
  } else {
    std::uint16_t* place = to.halves + row * to.stride + column;
    HEED_UNROLL for (int r = 0; r < rows; ++r) HEED_UNROLL for (int v = 0; v < vectors; ++v) {
      std::uint16_t* at = place + r * to.stride + v * lanes;
      v + 1 < vectors || tail == lanes ? store_bfloat16(at, sum[r][v]) : store_bfloat16(at, sum[r][v], tail);
    }
  }
}

/// One tile: rows × vectors sums over `units`, each from the first unit to the last.
template <class Units, int rows, int vectors>
void multiply(std::int64_t units, const Strip& a, const float* b, std::int64_t b_stride, const Target& to,
              std::int64_t row, std::int64_t column, int columns) {
  F sum[rows][vectors];
  HEED_UNROLL for (int r = 0; r < rows; ++r) HEED_UNROLL for (int v = 0; v < vectors; ++v) sum[r][v] = zero();
  const char* upper = a.data;
  const char* lower = a.data + 3 * a.row;
  for (std::int64_t u = 0; u < units; ++u) {
    F right[vectors];
    HEED_UNROLL for (int v = 0; v < vectors; ++v) right[v] = load(b + v * lanes);
    HEED_UNROLL for (int r = 0; r < rows; ++r) {
      const F left = broadcast(r < 3 ? upper + r * a.row : lower + (r - 3) * a.row);
      HEED_UNROLL for (int v = 0; v < vectors; ++v) sum[r][v] = Units::multiply_add(left, right[v], sum[r][v]);
    }
    upper += a.unit;
    lower += a.unit;
    b += b_stride;
  }
  finish<rows, vectors>(sum, to, row, column, columns);
}

using Multiply = void (*)(std::int64_t, const Strip&, const float*, std::int64_t, const Target&, std::int64_t,
                          std::int64_t, int);
template <class Units, int rows>
HEED_INLINE Multiply choose_vectors(int vectors) {
  if constexpr (tile_vectors == 4) {
    if (vectors == 4) return multiply<Units, rows, 4>;
    if (vectors == 3) return multiply<Units, rows, 3>;
  }
  return vectors == 2 ? multiply<Units, rows, 2> : multiply<Units, rows, 1>;
}
template <class Units>
Multiply choose(int rows, int vectors) {
  switch (rows) {
    case 1:
      return choose_vectors<Units, 1>(vectors);
    case 2:
      return choose_vectors<Units, 2>(vectors);
    case 3:
      return choose_vectors<Units, 3>(vectors);
    case 4:
      return choose_vectors<Units, 4>(vectors);
    case 5:
      return choose_vectors<Units, 5>(vectors);
    default:
      return choose_vectors<Units, 6>(vectors);
  }
}

/// Rows that run along k, as units: row r at to[r·to_stride].
template <class Units, class S>
void pack_along(const S* from, std::int64_t stride, int rows, const Range& k, float* to, std::int64_t to_stride) {
  for (int r = 0; r < rows; ++r)
    for (std::int64_t u = 0; u < k.units; u += lanes)
      store(to + r * to_stride + u,
            load_along<Units>(from + r * stride + u * Units::elements, k.elements - u * Units::elements));
}
/// The same rows, transposed: unit u at to[u·to_stride], a row a column; `rows` are filled up to whole vectors with
/// zeros.
template <class Units, class S>
void pack_along_transposed(const S* from, std::int64_t stride, int rows, const Range& k, float* to,
                           std::int64_t to_stride) {
  for (int first = 0; first < rows; first += lanes) {
    const int count = rows - first < lanes ? rows - first : lanes;
    for (std::int64_t u = 0; u < k.units; u += lanes) {
      const std::int64_t left = k.elements - u * Units::elements;
      const S* corner = from + first * stride + u * Units::elements;
      F block[lanes];
      if (count == lanes && left >= lanes * Units::elements)
        for (int r = 0; r < lanes; ++r) block[r] = load_along<Units>(corner + r * stride, lanes * Units::elements);
      else
        for (int r = 0; r < lanes; ++r) block[r] = r < count ? load_along<Units>(corner + r * stride, left) : zero();
      transpose(block);
      const int filled = k.units - u < lanes ? static_cast<int>(k.units - u) : lanes;
      float* place = to + u * to_stride + first;
      if (filled == lanes)
        for (int i = 0; i < lanes; ++i) store(place + i * to_stride, block[i]);
      else
        for (int i = 0; i < filled; ++i) store(place + i * to_stride, block[i]);
    }
  }
}
/// Columns of a matrix whose rows run across k: unit u at to[u·to_stride].
template <class Units, class S>
void pack_across(const S* from, std::int64_t stride, int columns, const Range& k, float* to, std::int64_t to_stride) {
  for (std::int64_t u = 0; u < k.units; ++u) {
    const S* row = from + u * Units::elements * stride;
    const bool half = (u + 1) * Units::elements > k.elements;
    int c = 0;
    for (; c + lanes <= columns; c += lanes)
      store(to + u * to_stride + c, load_across<Units>(row + c, stride, lanes, half));
    if (c < columns) store(to + u * to_stride + c, load_across<Units>(row + c, stride, columns - c, half));
  }
}

/// Rows [first, first + rows) of A as the micro-kernel reads them: where they lie if that can be, else packed in
/// `scratch`.
template <class Units>
Strip prepare_rows(const Matmul& task, std::int64_t first, std::int64_t rows, const Range& k, float* scratch) {
  const View& a = task.a;
  const std::int64_t begin = k.begin * Units::elements;
  if (task.a_transposed) {
    with_type(a.dtype, address(a, begin, first), [&](const auto* from) {
      pack_across<Units>(from, a.row_stride, static_cast<int>(rows), k, scratch, group_rows);
    });
    return {reinterpret_cast<const char*>(scratch), 4, 4 * group_rows};
  }
  const char* corner = address(a, first, begin);
  if (lies_in_units<Units>(a.dtype) && task.k % Units::elements == 0)
    return {corner, a.row_stride * 4 / Units::elements, 4};
  with_type(a.dtype, corner, [&](const auto* from) {
    pack_along<Units>(from, a.row_stride, static_cast<int>(rows), k, scratch, most_units);
  });
  return {reinterpret_cast<const char*>(scratch), 4 * most_units, 4};
}

/// A panel of B: unit u of `columns` neighbouring columns lies at data[u·stride].
struct Panel {
  const float* data;
  std::int64_t stride;
};
template <class Units>
Panel prepare_panel(const Matmul& task, std::int64_t first, int columns, const Range& k, float* scratch) {
  const View& b = task.b;
  const std::int64_t begin = k.begin * Units::elements;
  const char* corner = task.b_transposed ? address(b, first, begin) : address(b, begin, first);
  if (!task.b_transposed && Units::elements == 1 && lies_in_units<Units>(b.dtype) && task.m <= direct_rows &&
      columns % lanes == 0)
    return {reinterpret_cast<const float*>(corner), b.row_stride};
  with_type(b.dtype, corner, [&](const auto* from) {
    if (task.b_transposed)
      pack_along_transposed<Units>(from, b.row_stride, columns, k, scratch, panel_width);
    else
      pack_across<Units>(from, b.row_stride, columns, k, scratch, panel_width);
  });
  return {scratch, panel_width};
}

template <class Units>
void add_range(const Matmul& task, const Block& block, const Range& k, const Target& to, Scratch& scratch) {
  Panel panels[widest_block / panel_width];
  for (std::int64_t c = block.column_begin, p = 0; c < block.column_end; c += panel_width, ++p) {
    const int columns = static_cast<int>(block.column_end - c < panel_width ? block.column_end - c : panel_width);
    panels[p] = prepare_panel<Units>(task, c, columns, k, scratch.b + p * panel_width * most_units);
  }
  for (std::int64_t group = block.row_begin; group < block.row_end; group += group_rows) {
    const std::int64_t group_end = group + group_rows < block.row_end ? group + group_rows : block.row_end;
    const Strip a = prepare_rows<Units>(task, group, group_end - group, k, scratch.a);
    for (std::int64_t row = group; row < group_end; row += tile_rows) {
      const int rows = static_cast<int>(group_end - row < tile_rows ? group_end - row : tile_rows);
      const Strip strip = {a.data + (row - group) * a.row, a.row, a.unit};
      for (std::int64_t c = block.column_begin, p = 0; c < block.column_end; c += panel_width, ++p) {
        const int columns = static_cast<int>(block.column_end - c < panel_width ? block.column_end - c : panel_width);
        choose<Units>(rows, (columns + lanes - 1) / lanes)(k.units, strip, panels[p].data, panels[p].stride, to, row, c,
                                                           columns);
      }
    }
  }
}

/// A block over the whole of k. `partial`, where there is one, holds float32 sums between the ranges of k for a
/// bfloat16 C.
template <class Units>
void whole_block(const Matmul& task, const Block& block, std::int64_t length, float* partial, Scratch& scratch) {
  const std::int64_t all = units_of<Units>(task.k);
  const bool halves = task.c.dtype == DType::bfloat16;
  Target between{.stride = task.c.row_stride, .alpha = task.alpha};
  if (partial) {
    between.stride = partial_columns;
    between.floats = partial - block.row_begin * partial_columns - block.column_begin;
  } else if (!halves) {
    between.floats = static_cast<float*>(task.c.data);
  }
  std::int64_t begin = 0;
  do {
    const std::int64_t end = begin + length < all ? begin + length : all;
    Target to = between;
    if (begin == 0) {
      to.bias = task.bias;
      if (task.accumulate) to.addend = static_cast<const float*>(task.c.data);
    } else {
      to.addend = between.floats;
    }
    to.addend_stride = between.stride;
    if (halves && end == all) {
      to.floats = nullptr;
      to.halves = static_cast<std::uint16_t*>(task.c.data);
      to.stride = task.c.row_stride;
    }
    const std::int64_t last = end * Units::elements < task.k ? end * Units::elements : task.k;
    add_range<Units>(task, block, {begin, end - begin, last - begin * Units::elements}, to, scratch);
    begin = end;
  } while (begin < all);
}

template <class Units>
void tiles_of(const Matmul& task, const Block& block) {
  Scratch scratch;
  const std::int64_t all = units_of<Units>(task.k);
  const std::int64_t ranges = all > most_units ? (all + most_units - 1) / most_units : 1;
  // Ranges of equal length, in whole vectors: a function of k alone, as the order of every sum is.
  const std::int64_t length = ((all + ranges - 1) / ranges + lanes - 1) / lanes * lanes;
  if (ranges == 1 || task.c.dtype != DType::bfloat16) return whole_block<Units>(task, block, length, nullptr, scratch);
  // The sums of a narrower block fit beside its panels, in what the panels leave of their scratch.
  static_assert(partial_columns * (most_units + partial_rows) <= widest_block * most_units);
  for (std::int64_t c = block.column_begin; c < block.column_end; c += partial_columns)
    for (std::int64_t r = block.row_begin; r < block.row_end; r += partial_rows) {
      const std::int64_t row_end = r + partial_rows < block.row_end ? r + partial_rows : block.row_end;
      const std::int64_t column_end = c + partial_columns < block.column_end ? c + partial_columns : block.column_end;
      whole_block<Units>(task, {r, row_end, c, column_end}, length, scratch.b + partial_columns * most_units, scratch);
    }
}

}  // namespace

void matmul_tiles(const Matmul& task, const Block& block) noexcept {
  if (task.product == kernels::Product::bfloat16)
    tiles_of<BFloat16Units>(task, block);
  else
    tiles_of<Float32Units>(task, block);
}

extern const kernels::MatmulKernels matmul_kernels;
const kernels::MatmulKernels matmul_kernels = {matmul_tiles, matmul_dots, panel_width};

}  // namespace heed::HEED_ISA
