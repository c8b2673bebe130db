#include "attention/cpu/convolution.h"

#include "kernels/cpu/elements.h"

namespace heed::HEED_ISA {

namespace {

using attention::ConvolutionGradients;
using attention::ConvolutionRows;
using attention::Rows;

/// Element i of row p of the whole.
HEED_INLINE F load_whole(const ConvolutionRows& rows, std::int64_t p, std::int64_t i, auto n) {
  const std::int64_t before = rows.width - 1;
  if (p >= before) return load(rows.input.row(p - before) + i, n);
  return rows.state.data ? load(rows.state.row(p) + i, n) : zero();
}

/// Before the activation.
HEED_INLINE F convolved(const ConvolutionRows& rows, std::int64_t t, std::int64_t i, auto n) {
  F sum = rows.bias ? load(rows.bias + i, n) : zero();
  for (std::int64_t j = 0; j < rows.width; ++j)
    sum = fma(load(rows.weight + j * rows.channels + i, n), load_whole(rows, t + j, i, n), sum);
  return sum;
}

HEED_INLINE F sigmoid(F x) { return set1(1.0f) / (set1(1.0f) + exp(-x)); }

void forward(const ConvolutionRows& rows, std::int64_t begin, std::int64_t end, Rows output) {
  for (std::int64_t t = begin; t < end; ++t)
    for_vectors(rows.channels, [&](std::int64_t i, auto n) {
      const F x = convolved(rows, t, i, n);
      store(output.row(t) + i, rows.silu ? x * sigmoid(x) : x, n);
    });
}

void backward(const ConvolutionRows& rows, std::int64_t begin, std::int64_t end, const ConvolutionGradients& to,
              float* scratch) {
  const std::int64_t width = rows.width, before = width - 1;
  float* const dweight = scratch;
  float* const recent = scratch + width * 16;  // gradients of what was convolved, of the last `width` rows
  for_vectors(rows.channels, [&](std::int64_t i, auto n) {
    for (std::int64_t j = 0; j < width; ++j) store(dweight + j * 16, zero()), store(recent + j * 16, zero());
    F dbias = zero();
    for (std::int64_t t = begin < before ? 0 : begin - before; t < end; ++t) {
      F d = zero();
      if (t < rows.rows) {
        d = load(to.doutput.row(t) + i, n);
        if (rows.silu) {
          const F x = convolved(rows, t, i, n), s = sigmoid(x);
          d = d * s * fma(x, set1(1.0f) - s, set1(1.0f));
        }
      }
      store(recent + t % width * 16, d);
      if (t < begin) continue;
      if (t < rows.rows) {
        dbias += d;
        for (std::int64_t j = 0; j < width; ++j)
          store(dweight + j * 16, fma(d, load_whole(rows, t + j, i, n), load(dweight + j * 16)));
      }
      const Rows target = t < before ? to.state : to.input;
      if (!target.data) continue;
      F sum = t >= rows.rows && to.dfinal_state.data ? load(to.dfinal_state.row(t - rows.rows) + i, n) : zero();
      for (std::int64_t j = 0; j < width && j <= t; ++j)
        sum = fma(load(rows.weight + j * rows.channels + i, n), load(recent + (t - j) % width * 16), sum);
      store(target.row(t < before ? t : t - before) + i, sum, n);
    }
    for (std::int64_t j = 0; j < width; ++j) store(to.weight + j * rows.channels + i, load(dweight + j * 16), n);
    store(to.bias + i, dbias, n);
  });
}

}  // namespace

extern const attention::ConvolutionKernels convolution_kernels;
const attention::ConvolutionKernels convolution_kernels = {forward, backward};

}  // namespace heed::HEED_ISA
