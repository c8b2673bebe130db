#include <algorithm>

#include "attention/linear/chunk.h"
#include "kernels/cpu/matmul.h"
#include "kernels/dispatch.h"

HEED_DECLARE_KERNELS(attention::LinearKernels, linear_kernels)

namespace heed::attention::linear {

namespace {

constexpr heed::kernels::Tables<LinearKernels> tables = HEED_KERNEL_TABLES(linear_kernels);

/// With a decay for each dimension, rows are multiplied in blocks: rows of a block with earlier ones by a matrix
/// product of rows faded to the block's beginning, rows within a block one by one.
constexpr std::int64_t block_rows = 16;

Rows at(Rows matrix, std::int64_t row, std::int64_t column) { return {matrix.row(row) + column, matrix.stride}; }

}  // namespace

const LinearKernels& kernels() { return tables.best(); }

void multiply(const Product& product) {
  const auto view = [](Rows rows, std::int64_t count, std::int64_t width) {
    return View{rows.data, DType::float32, count, width, rows.stride};
  };
  const auto& [a, a_transposed, b, b_transposed, c, m, n, k, alpha, accumulate] = product;
  const heed::kernels::Matmul task{.m = m,
                                   .n = n,
                                   .k = k,
                                   .a = a_transposed ? view(a, k, m) : view(a, m, k),
                                   .a_transposed = a_transposed,
                                   .b = b_transposed ? view(b, n, k) : view(b, k, n),
                                   .b_transposed = b_transposed,
                                   .c = view(c, m, n),
                                   .alpha = alpha,
                                   .accumulate = accumulate};
  const heed::kernels::MatmulKernels& best = heed::kernels::matmul_kernels_of(heed::kernels::chosen());
  for (std::int64_t column = 0; column < n; column += heed::kernels::widest_block)
    best.tiles(task, {0, m, column, std::min(n, column + heed::kernels::widest_block)});
}

std::int64_t DecayedProducts::floats(int key_width) {
  return 3 * chunk_rows * key_width + chunk_rows * chunk_rows + block_rows * key_width + 3 * (key_width + 16);
}

DecayedProducts::DecayedProducts(Scratch& scratch, int key_width)
    : width_(key_width),
      a_(scratch.take(chunk_rows, key_width)),
      between_(scratch.take(chunk_rows, chunk_rows)),
      faded_rows_(scratch.take(chunk_rows, key_width)),
      faded_(scratch.take(chunk_rows, key_width)),
      line_(scratch.take(1, key_width)),
      whole_(scratch.take(1, key_width)),
      block_(scratch.take(1, key_width)) {}

void DecayedProducts::begin(const LinearHead& head) {
  rows_ = head.rows;
  any_ = head.decay.data != nullptr;
  one_ = !head.decay_each;
  if (!any_) return;
  kernels().exponentials(head.decay, rows_, one_ ? 1 : width_, a_);
  if (one_) kernels().products(a_, rows_, between_);
}

Rows DecayedProducts::fade(Rows x, Rows to) const {
  if (!any_) return x;
  kernels().fade(x, a_, one_, false, rows_, width_, false, to, nullptr);
  return to;
}

Rows DecayedProducts::fade_back(Rows x, Rows to) const {
  if (!any_) return x;
  kernels().fade(x, a_, one_, true, rows_, width_, false, to, whole_.data);
  return to;
}

void DecayedProducts::add_faded(Rows x, Rows y) const {
  if (any_) return kernels().fade(x, a_, one_, false, rows_, width_, true, y, nullptr);
  for (std::int64_t t = 0; t < rows_; ++t)
    for (int d = 0; d < width_; ++d) y.row(t)[d] += x.row(t)[d];
}

void DecayedProducts::add_faded_back(Rows x, Rows y) const {
  if (!any_) return add_faded(x, y);
  kernels().fade(x, a_, one_, true, rows_, width_, true, y, nullptr);
}

/// Rows of k before `begin` + `rows`, faded to the end of the block of rows that begins there.
void DecayedProducts::advance(Rows k, std::int64_t begin, std::int64_t rows) {
  kernels().fade(k.from(begin), a_.from(begin), false, true, rows, width_, false, faded_rows_.from(begin), block_.data);
  kernels().scale_columns(faded_rows_, block_.data, begin, width_);
}

void DecayedProducts::scores(Rows q, Rows k, bool strict, Rows A) {
  if (!any_ || one_) {
    multiply({.a = q, .b = k, .b_transposed = true, .c = A, .m = rows_, .n = rows_, .k = width_});
    return take_out(A, strict);
  }
  for (std::int64_t i = 0; i < rows_; i += block_rows) {
    const std::int64_t rows = std::min(block_rows, rows_ - i);
    kernels().near_scores(q.from(i), k.from(i), a_.from(i), rows, width_, strict, line_.data, at(A, i, i));
    if (i > 0) {
      kernels().fade(q.from(i), a_.from(i), false, false, rows, width_, false, faded_, nullptr);
      multiply({.a = faded_, .b = faded_rows_, .b_transposed = true, .c = A.from(i), .m = rows, .n = i, .k = width_});
    }
    for (std::int64_t t = i; t < i + rows; ++t) std::fill(A.row(t) + i + rows, A.row(t) + rows_, 0.0f);
    advance(k, i, rows);
  }
}

void DecayedProducts::take_out(Rows dA, bool strict) const {
  kernels().hide(dA, any_ && one_ ? between_ : Rows{}, strict, rows_);
}

void DecayedProducts::add_rows(Rows dA, Rows k, bool strict, Rows x) {
  if (!any_ || one_)
    return multiply({.a = dA, .b = k, .c = x, .m = rows_, .n = width_, .k = rows_, .accumulate = true});
  for (std::int64_t i = 0; i < rows_; i += block_rows) {
    const std::int64_t rows = std::min(block_rows, rows_ - i);
    kernels().near_rows(at(dA, i, i), k.from(i), a_.from(i), rows, width_, strict, line_.data, x.from(i));
    if (i > 0) {
      multiply({.a = dA.from(i), .b = faded_rows_, .c = faded_, .m = rows, .n = width_, .k = i});
      kernels().fade(faded_, a_.from(i), false, false, rows, width_, true, x.from(i), nullptr);
    }
    advance(k, i, rows);
  }
}

void DecayedProducts::add_columns(Rows dA, Rows q, bool strict, Rows y) {
  if (!any_ || one_)
    return multiply(
        {.a = dA, .a_transposed = true, .b = q, .c = y, .m = rows_, .n = width_, .k = rows_, .accumulate = true});
  // From the last block back: what later blocks give to earlier rows, as of the end of the block reached.
  for (std::int64_t s = 0; s < rows_; ++s) std::fill_n(faded_rows_.row(s), width_, 0.0f);
  for (std::int64_t i = (rows_ - 1) / block_rows * block_rows; i >= 0; i -= block_rows) {
    const std::int64_t rows = std::min(block_rows, rows_ - i);
    kernels().fade(faded_rows_.from(i), a_.from(i), false, true, rows, width_, true, y.from(i), block_.data);
    kernels().near_columns(at(dA, i, i), q.from(i), a_.from(i), rows, width_, strict, line_.data, y.from(i));
    if (i == 0) break;
    kernels().scale_columns(faded_rows_, block_.data, i, width_);
    kernels().fade(q.from(i), a_.from(i), false, false, rows, width_, false, faded_, nullptr);
    multiply({.a = dA.from(i),
              .a_transposed = true,
              .b = faded_,
              .c = faded_rows_,
              .m = i,
              .n = width_,
              .k = rows,
              .accumulate = true});
  }
}

}  // namespace heed::attention::linear
