#include "kernels/cpu/activation.h"

#include "kernels/cpu/elements.h"

namespace heed::HEED_ISA {

namespace {

using kernels::Activation;

struct Slope {
  F value;       ///< f(x)
  F derivative;  ///< f'(x)
};

struct Sigmoid {
  F value;  ///< 1 / (1 + e^−x)
  F rest;   ///< 1 − value, without its cancellation
};
HEED_INLINE Sigmoid sigmoid(F x) {
  const F e = exp(-x);
  const F value = set1(1.0f) / (set1(1.0f) + e);
  return {value, e * value};
}

template <Activation kind>
HEED_INLINE F value(F x) {
  if constexpr (kind == Activation::relu) return max(zero(), x);  // x last: NaN stays
  if constexpr (kind == Activation::gelu) return x * normal(x).cumulative;
  if constexpr (kind == Activation::gelu_tanh) {
    // 0.5·(1 + tanh(u)) = sigmoid(2u), which keeps its relative accuracy where x is far below 0.
    const F cubic = fma(set1(0.044715f) * x * x, x, x);
    return x * sigmoid(set1(1.5957691216f) * cubic).value;  // 2·sqrt(2/π)
  }
  if constexpr (kind == Activation::silu) return x * sigmoid(x).value;
  if constexpr (kind == Activation::tanh) return tanh(x);
  if constexpr (kind == Activation::sigmoid) return sigmoid(x).value;
}

template <Activation kind>
HEED_INLINE Slope slope(F x) {
  const F one = set1(1.0f);
  if constexpr (kind == Activation::relu) return {max(zero(), x), select(x > zero(), one, zero())};
  if constexpr (kind == Activation::gelu) {
    const Normal at = normal(x);
    return {x * at.cumulative, fma(x, at.density, at.cumulative)};
  }
  if constexpr (kind == Activation::gelu_tanh) {
    const auto [s, rest] = sigmoid(set1(1.5957691216f) * fma(set1(0.044715f) * x * x, x, x));
    const F inner = set1(1.5957691216f) * fma(set1(0.134145f) * x, x, one);
    return {x * s, fma(x * s * rest, inner, s)};
  }
  if constexpr (kind == Activation::silu) {
    const auto [s, rest] = sigmoid(x);
    return {x * s, s * fma(x, rest, one)};
  }
  if constexpr (kind == Activation::tanh) {
    const F y = tanh(x);
    return {y, (one - y) * (one + y)};
  }
  if constexpr (kind == Activation::sigmoid) {
    const auto [s, rest] = sigmoid(x);
    return {s, s * rest};
  }
}

/// Calls f.operator()<kind>().
template <class Function>
HEED_INLINE void with_kind(Activation kind, Function f) {
  switch (kind) {
    case Activation::relu:
      return f.template operator()<Activation::relu>();
    case Activation::gelu:
      return f.template operator()<Activation::gelu>();
    case Activation::gelu_tanh:
      return f.template operator()<Activation::gelu_tanh>();
    case Activation::silu:
      return f.template operator()<Activation::silu>();
    case Activation::tanh:
      return f.template operator()<Activation::tanh>();
    case Activation::sigmoid:
      return f.template operator()<Activation::sigmoid>();
  }
}

// Rows are taken in blocks that stay in the first-level cache. A block of float32 is used where it lies, one of
// bfloat16 is converted aside; so each function is compiled once, not once for every mixture of types.
constexpr std::int64_t block = 512;

struct Block {
  std::int64_t row, begin, width;
};

const float* read(const View& view, const Block& at, float* aside, std::int64_t column = 0) {
  if (view.dtype != DType::bfloat16) return row_of(view, at.row) + column + at.begin;
  const bfloat16* const from = row_of<const bfloat16>(view, at.row) + column + at.begin;
  for_vectors(at.width, [&](std::int64_t j, auto n) { store(aside + j, load(from + j, n), n); });
  return aside;
}

/// Where to write a block: in place for float32, else aside, and then `finish` converts.
float* target(const View& view, const Block& at, float* aside, std::int64_t column = 0) {
  return view.dtype == DType::bfloat16 ? aside : row_of(view, at.row) + column + at.begin;
}
void finish(const View& view, const Block& at, const float* aside, std::int64_t column = 0) {
  if (view.dtype != DType::bfloat16) return;
  bfloat16* const to = row_of<bfloat16>(view, at.row) + column + at.begin;
  for_vectors(at.width, [&](std::int64_t j, auto n) { store(to + j, load(aside + j, n), n); });
}

template <class Step>
HEED_INLINE void for_blocks(std::int64_t rows, std::int64_t width, Step step) {
  for (std::int64_t row = 0; row < rows; ++row)
    for (std::int64_t begin = 0; begin < width; begin += block)
      step(Block{row, begin, width - begin < block ? width - begin : block});
}

void activate(Activation kind, View x, View y) {
  with_kind(kind, [&]<Activation f>() {
    for_blocks(x.rows, x.width, [&](const Block& at) {
      alignas(64) float aside_x[block], aside_y[block];
      const float* const from = read(x, at, aside_x);
      float* const to = target(y, at, aside_y);
      for_vectors(at.width, [&](std::int64_t j, auto n) { store(to + j, value<f>(load(from + j, n)), n); });
      finish(y, at, to);
    });
  });
}

void activate_backward(Activation kind, View x, View dy, View dx, bool accumulate) {
  with_kind(kind, [&]<Activation f>() {
    for_blocks(x.rows, x.width, [&](const Block& at) {
      alignas(64) float aside_x[block], aside_dy[block], aside_dx[block];
      const float* const from = read(x, at, aside_x);
      const float* const slopes = read(dy, at, aside_dy);
      float* const to = target(dx, at, aside_dx);
      for_vectors(at.width, [&](std::int64_t j, auto n) {
        const F d = load(slopes + j, n) * slope<f>(load(from + j, n)).derivative;
        store(to + j, accumulate ? load(to + j, n) + d : d, n);
      });
      finish(dx, at, to);
    });
  });
}

void gate(Activation kind, View x, View y) {
  with_kind(kind, [&]<Activation f>() {
    for_blocks(y.rows, y.width, [&](const Block& at) {
      alignas(64) float aside_gate[block], aside_up[block], aside_y[block];
      const float* const gates = read(x, at, aside_gate);
      const float* const ups = read(x, at, aside_up, y.width);
      float* const to = target(y, at, aside_y);
      for_vectors(at.width,
                  [&](std::int64_t j, auto n) { store(to + j, value<f>(load(gates + j, n)) * load(ups + j, n), n); });
      finish(y, at, to);
    });
  });
}

void gate_backward(Activation kind, View x, View dy, View dx, bool accumulate) {
  with_kind(kind, [&]<Activation f>() {
    for_blocks(dy.rows, dy.width, [&](const Block& at) {
      alignas(64) float aside_gate[block], aside_up[block], aside_dy[block], aside_dgate[block], aside_dup[block];
      const float* const gates = read(x, at, aside_gate);
      const float* const ups = read(x, at, aside_up, dy.width);
      const float* const slopes = read(dy, at, aside_dy);
      float* const to_gate = target(dx, at, aside_dgate);
      float* const to_up = target(dx, at, aside_dup, dy.width);
      for_vectors(at.width, [&](std::int64_t j, auto n) {
        const Slope at_gate = slope<f>(load(gates + j, n));
        const F d = load(slopes + j, n);
        const F d_gate = d * load(ups + j, n) * at_gate.derivative;
        const F d_up = d * at_gate.value;
        store(to_gate + j, accumulate ? load(to_gate + j, n) + d_gate : d_gate, n);
        store(to_up + j, accumulate ? load(to_up + j, n) + d_up : d_up, n);
      });
      finish(dx, at, to_gate);
      finish(dx, at, to_up, dy.width);
    });
  });
}

}  // namespace

extern const kernels::ActivationKernels activation_kernels;
const kernels::ActivationKernels activation_kernels = {activate, activate_backward, gate, gate_backward};

}  // namespace heed::HEED_ISA
