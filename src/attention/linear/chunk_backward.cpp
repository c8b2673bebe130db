#include "attention/linear/chunk_backward.h"

#include <algorithm>

namespace heed::attention::linear {

namespace {

void clear(Rows rows, std::int64_t count, std::int64_t width) {
  for (std::int64_t t = 0; t < count; ++t) std::fill_n(rows.row(t), width, 0.0f);
}

}  // namespace

std::int64_t ChunkBackward::floats(const LinearHead& head) {
  return Chunk::floats(head) + chunk_rows * (chunk_rows + head.value_width + 4 * std::int64_t{head.key_width}) +
         std::int64_t{head.key_width} * head.value_width + 64;
}

ChunkBackward::ChunkBackward(Scratch& scratch, const LinearHead& head)
    : Chunk(scratch, head),
      dA_(scratch.take(chunk_rows, chunk_rows)),
      du_(scratch.take(chunk_rows, head.value_width)),
      dkey_as_row_(scratch.take(chunk_rows, head.key_width)),
      dkey_as_column_(scratch.take(chunk_rows, head.key_width)),
      dfaded_(scratch.take(chunk_rows, head.key_width)),
      dstate_(scratch.take(head.key_width, head.value_width)),
      dsums_(scratch.take(chunk_rows, head.key_width)) {}

void ChunkBackward::run(const LinearHead& head, float* before, const float* after, float* dstate,
                        const HeadGradients& to) {
  const std::int64_t rows = head.rows;
  const int keys = head.key_width, values = head.value_width;
  solve(head, before);
  clear(du_, rows, values);
  clear(dkey_as_row_, rows, keys);
  clear(dkey_as_column_, rows, keys);
  clear(dstate_, keys, values);
  clear(dsums_, rows, keys);
  through_outputs(head, before, to);
  through_state(head, after, dstate);
  if (head.beta.data) through_correction(head, before, to);
  for (std::int64_t t = 0; t < rows; ++t) {
    if (to.value.data) std::copy_n(du_.row(t), values, to.value.row(t));
    for (int d = 0; to.key.data && d < keys; ++d) to.key.row(t)[d] = dkey_as_row_.row(t)[d] + dkey_as_column_.row(t)[d];
  }
  if (products_.any()) {
    // Where a row stands in a product with earlier ones the sums of decays up to it are added, where it stands with
    // later ones they are taken away: so their gradient is q·dq + k·dk there, and −k·dk here.
    kernels().add_products(head.key, dkey_as_row_, 1.0f, rows, keys, products_.one(), dsums_);
    kernels().add_products(head.key, dkey_as_column_, -1.0f, rows, keys, products_.one(), dsums_);
    kernels().sum_back(dsums_, rows, products_.one() ? 1 : keys, to.decay);
  }
  for (int d = 0; d < keys; ++d) std::copy_n(dstate_.row(d), values, dstate + std::int64_t{d} * values);
}

/// output = scale·(A·u + q̃·S)
void ChunkBackward::through_outputs(const LinearHead& head, float* before, const HeadGradients& to) {
  const std::int64_t rows = head.rows;
  const int keys = head.key_width, values = head.value_width;
  for (int member = 0; member < head.group; ++member) {
    const Rows query{head.query.data + member * keys, head.query.stride};
    const Rows doutput{to.doutput.data + member * values, to.doutput.stride};
    const Rows dquery{to.query.data + member * keys, to.query.stride};
    products_.scores(query, head.key, false, A_);
    multiply({.a = A_,
              .a_transposed = true,
              .b = doutput,
              .c = du_,
              .m = rows,
              .n = values,
              .k = rows,
              .alpha = head.scale,
              .accumulate = true});
    multiply({.a = doutput,
              .b = u_,
              .b_transposed = true,
              .c = dA_,
              .m = rows,
              .n = rows,
              .k = values,
              .alpha = head.scale});
    products_.take_out(dA_, false);
    clear(dquery, rows, keys);
    products_.add_rows(dA_, head.key, false, dquery);
    products_.add_columns(dA_, query, false, dkey_as_column_);
    multiply({.a = doutput,
              .b = {before, values},
              .b_transposed = true,
              .c = dfaded_,
              .m = rows,
              .n = keys,
              .k = values,
              .alpha = head.scale});
    products_.add_faded(dfaded_, dquery);
    multiply({.a = products_.fade(query, faded_),
              .a_transposed = true,
              .b = doutput,
              .c = dstate_,
              .m = keys,
              .n = values,
              .k = rows,
              .alpha = head.scale,
              .accumulate = true});
    if (products_.any()) kernels().add_products(query, dquery, 1.0f, rows, keys, products_.one(), dsums_);
  }
}

/// S' = P(0, n]·S + k̄ᵀ·u. In the sums of all decays this is linear: their gradient is S'·dS', row by row.
void ChunkBackward::through_state(const LinearHead& head, const float* after, float* dstate) {
  const std::int64_t rows = head.rows;
  const int keys = head.key_width, values = head.value_width;
  const Rows d{dstate, values};
  multiply({.a = products_.fade_back(head.key, faded_),
            .b = d,
            .c = du_,
            .m = rows,
            .n = values,
            .k = keys,
            .accumulate = true});
  multiply({.a = u_, .b = d, .b_transposed = true, .c = dfaded_, .m = rows, .n = keys, .k = values});
  products_.add_faded_back(dfaded_, dkey_as_column_);
  const bool one = products_.one();
  float* const dlast = dsums_.row(rows - 1);
  for (int i = 0; i < keys; ++i) {
    const std::int64_t begin = std::int64_t{i} * values;
    if (products_.any())
      kernels().add_products({const_cast<float*>(after) + begin, 0}, {dstate + begin, 0}, 1.0f, 1, values, true,
                             {dlast + (one ? 0 : i), 0});
    const float whole = products_.any() ? products_.whole()[one ? 0 : i] : 1.0f;
    for (int m = 0; m < values; ++m) dstate_.row(i)[m] += whole * dstate[begin + m];
  }
}

/// u = β·error,  error = v − k̃·S − L·u
void ChunkBackward::through_correction(const LinearHead& head, float* before, const HeadGradients& to) {
  const std::int64_t rows = head.rows;
  const int keys = head.key_width, values = head.value_width;
  kernels().solve_back(L_, head.beta, error_, rows, values, du_, to.beta);  // du becomes that of the error
  multiply({.a = du_, .b = u_, .b_transposed = true, .c = dA_, .m = rows, .n = rows, .k = values, .alpha = -1.0f});
  products_.take_out(dA_, true);
  products_.add_rows(dA_, head.key, true, dkey_as_row_);
  products_.add_columns(dA_, head.key, true, dkey_as_column_);
  multiply({.a = du_,
            .b = {before, values},
            .b_transposed = true,
            .c = dfaded_,
            .m = rows,
            .n = keys,
            .k = values,
            .alpha = -1.0f});
  products_.add_faded(dfaded_, dkey_as_row_);
  multiply({.a = products_.fade(head.key, faded_),
            .a_transposed = true,
            .b = du_,
            .c = dstate_,
            .m = keys,
            .n = values,
            .k = rows,
            .alpha = -1.0f,
            .accumulate = true});
}

}  // namespace heed::attention::linear
