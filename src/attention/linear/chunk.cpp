#include "attention/linear/chunk.h"

#include <algorithm>

namespace heed::attention::linear {

namespace {

void copy(Rows from, std::int64_t rows, std::int64_t width, Rows to) {
  for (std::int64_t t = 0; t < rows; ++t) std::copy_n(from.row(t), width, to.row(t));
}

}  // namespace

std::int64_t Chunk::floats(const LinearHead& head) {
  return DecayedProducts::floats(head.key_width) + 2 * chunk_rows * chunk_rows +
         chunk_rows * (2 * head.value_width + head.key_width);
}

Chunk::Chunk(Scratch& scratch, const LinearHead& head)
    : products_(scratch, head.key_width),
      A_(scratch.take(chunk_rows, chunk_rows)),
      L_(scratch.take(chunk_rows, chunk_rows)),
      error_(scratch.take(chunk_rows, head.value_width)),
      written_(scratch.take(chunk_rows, head.value_width)),
      faded_(scratch.take(chunk_rows, head.key_width)) {}

void Chunk::solve(const LinearHead& head, float* state) {
  products_.begin(head);
  u_ = head.value;
  if (!head.beta.data) return;
  products_.scores(head.key, head.key, true, L_);
  copy(head.value, head.rows, head.value_width, error_);
  multiply({.a = products_.fade(head.key, faded_),
            .b = {state, head.value_width},
            .c = error_,
            .m = head.rows,
            .n = head.value_width,
            .k = head.key_width,
            .alpha = -1.0f,
            .accumulate = true});
  u_ = written_;
  kernels().solve(L_, head.beta, head.rows, head.value_width, error_, u_);
}

void Chunk::move(const LinearHead& head, float* state) {
  const Rows to{state, head.value_width};
  const Rows keys = products_.fade_back(head.key, faded_);
  if (products_.any()) kernels().scale_rows(to, products_.whole(), products_.one(), head.key_width, head.value_width);
  multiply({.a = keys,
            .a_transposed = true,
            .b = u_,
            .c = to,
            .m = head.key_width,
            .n = head.value_width,
            .k = head.rows,
            .accumulate = true});
}

void Chunk::forward(const LinearHead& head, float* state) {
  solve(head, state);
  for (int member = 0; head.output.data && member < head.group; ++member) {
    const Rows query{head.query.data + member * head.key_width, head.query.stride};
    const Rows output{head.output.data + member * head.value_width, head.output.stride};
    products_.scores(query, head.key, false, A_);
    multiply(
        {.a = A_, .b = u_, .c = output, .m = head.rows, .n = head.value_width, .k = head.rows, .alpha = head.scale});
    multiply({.a = products_.fade(query, faded_),
              .b = {state, head.value_width},
              .c = output,
              .m = head.rows,
              .n = head.value_width,
              .k = head.key_width,
              .alpha = head.scale,
              .accumulate = true});
  }
  move(head, state);
}

}  // namespace heed::attention::linear
