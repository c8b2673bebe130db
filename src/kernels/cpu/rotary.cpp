#include "kernels/cpu/rotary.h"

#include "kernels/cpu/elements.h"

namespace heed::HEED_ISA {

namespace {

using kernels::Rotary;

typedef double Doubles __attribute__((vector_size(8 * lanes)));

// By reference: vectors wider than the instruction set's registers are not returned.
HEED_INLINE void load_doubles(Doubles& value, const double* from, Whole) {
  __builtin_memcpy(&value, from, sizeof(Doubles));
}
HEED_INLINE void load_doubles(Doubles& value, const double* from, int count) {
  value = Doubles{};
  for (int i = 0; i < count; ++i) value[i] = from[i];
}

struct Turn {
  F cosine, sine;
};

/// Cosine and sine of position · frequency. The angle is made and reduced to [−π/4, π/4] in double, so that a far
/// position is as exact as a near one; there Taylor's series, to float's accuracy, serve.
HEED_INLINE Turn turn_of(double position, const double* frequencies, auto n) {
  Doubles angle;
  load_doubles(angle, frequencies, n);
  angle *= position;
  const double magic = 6755399441055744.0;  // 1.5·2⁵²: adding it rounds to the nearest integer
  const Doubles quarter = (angle * 0.63661977236758134308 + magic) - magic;  // 2/π
  // π/2 in two parts, the first of 33 bits: exact products for up to a million quarters.
  const Doubles reduced = (angle - quarter * 1.57079632673412561417e+00) - quarter * 6.07710050650619224932e-11;
  const F r = __builtin_convertvector(reduced, F);
  const I quadrant = __builtin_convertvector(quarter, I);
  const F square = r * r;
  F s = set1(2.7557319e-6f);  // 1/9!, −1/7!, 1/5!, −1/3!
  s = fma(s, square, set1(-1.9841270e-4f));
  s = fma(s, square, set1(8.3333333e-3f));
  s = fma(s, square, set1(-1.6666667e-1f));
  s = fma(s * square, r, r);
  F c = set1(-2.7557319e-7f);  // −1/10!, 1/8!, −1/6!, 1/4!, −1/2!
  c = fma(c, square, set1(2.4801587e-5f));
  c = fma(c, square, set1(-1.3888889e-3f));
  c = fma(c, square, set1(4.1666667e-2f));
  c = fma(c, square, set1(-0.5f));
  c = fma(c, square, set1(1.0f));
  const I odd = -(quadrant & 1);
  const U cosine_sign = (U)((quadrant + 1) & 2) << 30, sine_sign = (U)(quadrant & 2) << 30;
  return {(F)((U)select(odd, s, c) ^ cosine_sign), (F)((U)select(odd, c, s) ^ sine_sign)};
}

/// (x0, x1, x2, x3, …) → (x1, x0, x3, x2, …)
HEED_INLINE F swap_neighbours(F x) {
  typedef std::uint64_t Pairs __attribute__((vector_size(4 * lanes)));
  return (F)(((Pairs)x << 32) | ((Pairs)x >> 32));
}

/// (a, b) → (a·cos − b·sin, b·cos + a·sin), a and b being the head's first and second half.
HEED_INLINE void rotate_halves(const float* from, const Rotary& rotary, const Turn& turn, std::int64_t i, auto n,
                               float* to) {
  for (std::int64_t head = 0; head < rotary.heads; ++head) {
    const std::int64_t first = head * rotary.head_width + i, second = first + rotary.rotated / 2;
    const F a = load(from + first, n), b = load(from + second, n);
    store(to + first, fma(a, turn.cosine, -(b * turn.sine)), n);
    store(to + second, fma(b, turn.cosine, a * turn.sine), n);
  }
}

/// The same with a and b neighbours: the sine's sign alternates.
HEED_INLINE void rotate_neighbours(const float* from, const Rotary& rotary, const Turn& turn, std::int64_t i, auto n,
                                   float* to) {
  const F sine = (F)((U)turn.sine ^ (((iota() & 1u) ^ 1u) << 31));
  for (std::int64_t head = 0; head < rotary.heads; ++head) {
    const std::int64_t at = head * rotary.head_width + i;
    const F x = load(from + at, n);
    store(to + at, fma(x, turn.cosine, swap_neighbours(x) * sine), n);
  }
}

/// One row: turn(i, n) gives the cosines and sines of n lanes from lane i.
HEED_INLINE void rotate_row(const float* from, const Rotary& rotary, float* to, auto&& turn) {
  for_vectors(rotary.interleaved ? rotary.rotated : rotary.rotated / 2, [&](std::int64_t i, auto n) {
    if (rotary.interleaved)
      rotate_neighbours(from, rotary, turn(i, n), i, n, to);
    else
      rotate_halves(from, rotary, turn(i, n), i, n, to);
  });
  const std::int64_t rest = rotary.head_width - rotary.rotated;
  if (from == to || rest == 0) return;
  for (std::int64_t head = 0; head < rotary.heads; ++head) {
    const std::int64_t begin = head * rotary.head_width + rotary.rotated;
    for_vectors(rest, [&](std::int64_t j, auto n) { store(to + begin + j, load(from + begin + j, n), n); });
  }
}

void rotate(View x, const std::int32_t* positions, const double* frequencies, const Rotary& rotary, View y) {
  for (std::int64_t row = 0; row < x.rows; ++row) {
    const double position = static_cast<double>(rotary.direction) * positions[row];
    rotate_row(row_of(x, row), rotary, row_of(y, row),
               [&](std::int64_t i, auto n) { return turn_of(position, frequencies + i, n); });
  }
}

HEED_INLINE int count_of(Whole) { return lanes; }
HEED_INLINE int count_of(int count) { return count; }

/// (x0, x1, …) → (x0, x0, x1, x1, …)
HEED_INLINE F load_twice(const float* from, auto n) {
  F value = zero();
  for (int i = 0; i < count_of(n); ++i) value[i] = from[i / 2];
  return value;
}

void rotate_by(View x, const std::int32_t* positions, View cosines, View sines, const Rotary& rotary, View y) {
  for (std::int64_t row = 0; row < x.rows; ++row) {
    const float* const cosine = row_of(cosines, positions[row]);
    const float* const sine = row_of(sines, positions[row]);
    rotate_row(row_of(x, row), rotary, row_of(y, row), [&](std::int64_t i, auto n) {
      const F direction = set1(rotary.direction);
      if (rotary.interleaved) return Turn{load_twice(cosine + i / 2, n), load_twice(sine + i / 2, n) * direction};
      return Turn{load(cosine + i, n), load(sine + i, n) * direction};
    });
  }
}

}  // namespace

extern const kernels::RotaryKernels rotary_kernels;
const kernels::RotaryKernels rotary_kernels = {rotate, rotate_by};

}  // namespace heed::HEED_ISA
