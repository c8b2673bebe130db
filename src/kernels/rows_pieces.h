#pragma once
// How work on rows is cut into pieces: by shape alone, so that the bits do not depend on the number of threads, and
// into pieces large enough to be worth handing to a thread.
#include <heed/tensor.h>
#include <heed/thread_pool.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace heed::kernels {

inline constexpr std::int64_t piece_elements = 16384;

/// Rows [begin, begin + rows) of a view; a view without data stays so.
inline View rows_of(View view, std::int64_t begin, std::int64_t rows) {
  if (view.data) view.data = static_cast<char*>(view.data) + begin * view.row_stride * size_of(view.dtype);
  view.rows = rows;
  return view;
}

/// Columns [begin, begin + width) of a view.
inline View columns_of(View view, std::int64_t begin, std::int64_t width) {
  if (view.data) view.data = static_cast<char*>(view.data) + begin * size_of(view.dtype);
  view.width = width;
  return view;
}

/// Calls piece(first row, rows) for pieces of about `piece_elements`.
template <class Piece>
void for_rows(std::int64_t rows, std::int64_t width, ThreadPool& pool, Piece&& piece) {
  const std::int64_t step = std::max<std::int64_t>(1, piece_elements / std::max<std::int64_t>(1, width));
  pool.parallel_for((rows + step - 1) / step,
                    [&](std::int64_t i) { piece(i * step, std::min(step, rows - i * step)); });
}

/// Calls piece(parts, index of their first element) for parts of views of one shape. Where all views are dense, a part
/// is one long row: rows mean nothing to an operator on elements.
template <std::size_t count, class Piece>
void for_elements(std::array<View, count> views, ThreadPool& pool, Piece&& piece) {
  const std::int64_t rows = views[0].rows, width = views[0].width;
  if (rows == 0 || width == 0) return;
  const bool dense =
      std::all_of(views.begin(), views.end(), [&](const View& v) { return rows == 1 || v.row_stride == width; });
  if (dense) {
    const std::int64_t elements = rows * width;
    pool.parallel_for((elements + piece_elements - 1) / piece_elements, [&](std::int64_t i) {
      const std::int64_t begin = i * piece_elements;
      auto parts = views;
      for (View& part : parts) {
        part = columns_of(part, begin, std::min(piece_elements, elements - begin));
        part.rows = 1;
      }
      piece(parts, begin);
    });
    return;
  }
  for_rows(rows, width, pool, [&](std::int64_t begin, std::int64_t part_rows) {
    auto parts = views;
    for (View& part : parts) part = rows_of(part, begin, part_rows);
    piece(parts, begin * width);
  });
}

/// Sums over rows: each piece of rows adds into sums of its own, [width] floats that start at zero; then the pieces are
/// added in order. Pieces are few (at most 16) and their sums together small (96 KiB where four pieces allow it).
class RowSums {
 public:
  RowSums(std::int64_t rows, std::int64_t width, std::int64_t elements_a_row) : width_(width) {
    const std::int64_t most = std::clamp<std::int64_t>(24576 / std::max<std::int64_t>(1, width), 4, 16);
    const std::int64_t least_rows =
        std::max<std::int64_t>(1, piece_elements / std::max<std::int64_t>(1, elements_a_row));
    step_ = std::max(least_rows, (rows + most - 1) / most);
    pieces_ = (rows + step_ - 1) / step_;
    rows_ = rows;
    sums_.resize(static_cast<std::size_t>(pieces_ * width));
  }
  /// Calls piece(first row, rows, sums).
  template <class Piece>
  void run(ThreadPool& pool, Piece&& piece) {
    pool.parallel_for(pieces_, [&](std::int64_t i) {
      piece(i * step_, std::min(step_, rows_ - i * step_), sums_.data() + i * width_);
    });
  }
  /// Writes or adds columns [begin, begin + count) of the total; nothing when `to` is null.
  void add_to(float* to, bool accumulate, std::int64_t begin, std::int64_t count) const {
    if (!to) return;
    if (!accumulate) std::fill_n(to, count, 0.0f);
    for (std::int64_t i = 0; i < pieces_; ++i) {
      const float* const from = sums_.data() + i * width_ + begin;
      for (std::int64_t j = 0; j < count; ++j) to[j] += from[j];
    }
  }

 private:
  std::int64_t rows_ = 0, width_ = 0, step_ = 1, pieces_ = 0;
  std::vector<float> sums_;
};

}  // namespace heed::kernels
