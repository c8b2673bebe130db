#include "kernels/cpu/elementwise.h"

#include "kernels/cpu/elements.h"

namespace heed::HEED_ISA {

namespace {

void add_scaled(View x, float a, View y, float b) {
  with_type(x, [&]<class X>(X*) {
    for (std::int64_t row = 0; row < x.rows; ++row) {
      const X* const from = row_of<const X>(x, row);
      float* const to = row_of(y, row);
      if (b == 0.0f)
        for_vectors(x.width, [&](std::int64_t j, auto n) { store(to + j, set1(a) * load(from + j, n), n); });
      else
        for_vectors(x.width, [&](std::int64_t j, auto n) {
          store(to + j, fma(set1(a), load(from + j, n), set1(b) * load(to + j, n)), n);
        });
    }
  });
}

void add(View x, View y, View z) {
  for (std::int64_t row = 0; row < x.rows; ++row) {
    const float* const first = row_of(x, row);
    const float* const second = row_of(y, row);
    float* const to = row_of(z, row);
    for_vectors(x.width, [&](std::int64_t j, auto n) { store(to + j, load(first + j, n) + load(second + j, n), n); });
  }
}

template <class From, class To>
void convert_rows(View from, View to) {
  for (std::int64_t row = 0; row < from.rows; ++row) {
    const From* const source = row_of<const From>(from, row);
    To* const target = row_of<To>(to, row);
    for_vectors(from.width, [&](std::int64_t j, auto n) { store(target + j, load(source + j, n), n); });
  }
}

template <class From>
void convert_from(View from, View to) {
  if (to.dtype == DType::bfloat16) return convert_rows<From, bfloat16>(from, to);
  if (to.dtype == DType::float16) return convert_rows<From, float16>(from, to);
  convert_rows<From, float>(from, to);
}

void convert(View from, View to) {
  if (from.dtype == DType::bfloat16) return convert_from<bfloat16>(from, to);
  if (from.dtype == DType::float16) return convert_from<float16>(from, to);
  convert_from<float>(from, to);
}

/// Four rows at a time, so that the sums are read and written once for four rows read.
template <class X>
void add_rows_of(View x, float* sum) {
  std::int64_t row = 0;
  for (; row + 4 <= x.rows; row += 4) {
    const X* const from[4] = {row_of<const X>(x, row), row_of<const X>(x, row + 1), row_of<const X>(x, row + 2),
                              row_of<const X>(x, row + 3)};
    for_vectors(x.width, [&](std::int64_t j, auto n) {
      const F four = (load(from[0] + j, n) + load(from[1] + j, n)) + (load(from[2] + j, n) + load(from[3] + j, n));
      store(sum + j, load(sum + j, n) + four, n);
    });
  }
  for (; row < x.rows; ++row) {
    const X* const from = row_of<const X>(x, row);
    for_vectors(x.width, [&](std::int64_t j, auto n) { store(sum + j, load(sum + j, n) + load(from + j, n), n); });
  }
}

void add_rows(View x, float* sum) {
  with_type(x, [&]<class X>(X*) { add_rows_of<X>(x, sum); });
}

// A vector's floats as two vectors of doubles, each of the registers' own width: wider ones would live in memory.
typedef float HalfFloats __attribute__((vector_size(2 * lanes)));
typedef double Doubles __attribute__((vector_size(4 * lanes)));

double sum_of_squares(View x) {
  Doubles low = {}, high = {};
  for (std::int64_t row = 0; row < x.rows; ++row) {
    const float* const from = row_of(x, row);
    for_vectors(x.width, [&](std::int64_t j, auto n) {
      const F value = load(from + j, n);
      HalfFloats halves[2];
      __builtin_memcpy(halves, &value, sizeof value);
      const Doubles first = __builtin_convertvector(halves[0], Doubles);
      const Doubles second = __builtin_convertvector(halves[1], Doubles);
      low += first * first;
      high += second * second;
    });
  }
  low += high;
  double sum = 0.0;
  for (int i = 0; i < lanes / 2; ++i) sum += low[i];
  return sum;
}

bool all_finite(View x) {
  I bad = {};
  for (std::int64_t row = 0; row < x.rows; ++row) {
    const float* const from = row_of(x, row);
    // The exponent is all ones in infinities and NaNs alone.
    for_vectors(x.width, [&](std::int64_t j, auto n) {
      bad |= (as_int(load(from + j, n)) & set1_int(0x7f800000)) == set1_int(0x7f800000);
    });
  }
  std::int32_t any = 0;
  for (int i = 0; i < lanes; ++i) any |= bad[i];
  return any == 0;
}

/// mix32 of heed/random.h, lane by lane.
HEED_INLINE U mix32(U x) {
  x = (x ^ (x >> 16)) * 0x7feb352du;
  x = (x ^ (x >> 15)) * 0x846ca68bu;
  return x ^ (x >> 16);
}

void dropout(View x, std::uint32_t threshold, float scale, std::uint64_t key, std::uint32_t first, View y,
             bool accumulate) {
  const U key_low = set1_uint(static_cast<std::uint32_t>(key)),
          key_high = set1_uint(static_cast<std::uint32_t>(key >> 32));
  for (std::int64_t row = 0; row < x.rows; ++row) {
    const float* const from = row_of(x, row);
    float* const to = row_of(y, row);
    const std::uint32_t row_first = first + static_cast<std::uint32_t>(row * x.width);
    for_vectors(x.width, [&](std::int64_t j, auto n) {
      const U index = iota() + (row_first + static_cast<std::uint32_t>(j));
      const I kept = (I)(mix32(mix32(index ^ key_low) + key_high) >= set1_uint(threshold));
      const F value = select(kept, load(from + j, n) * set1(scale), zero());
      store(to + j, accumulate ? load(to + j, n) + value : value, n);
    });
  }
}

}  // namespace

extern const kernels::ElementwiseKernels elementwise_kernels;
const kernels::ElementwiseKernels elementwise_kernels = {add_scaled,     add,        convert, add_rows,
                                                         sum_of_squares, all_finite, dropout};

}  // namespace heed::HEED_ISA
