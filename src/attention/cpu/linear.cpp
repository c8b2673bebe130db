#include "attention/cpu/linear.h"

#include "kernels/cpu/elements.h"

namespace heed::HEED_ISA {

namespace {

using attention::LinearHead;
using attention::Rows;

/// y += factor·x
HEED_INLINE void add(const float* x, float factor, int width, float* y) {
  for_vectors(width,
              [&](std::int64_t i, auto n) { store(y + i, fma(set1(factor), load(x + i, n), load(y + i, n)), n); });
}
/// y = factor·x
HEED_INLINE void scale(const float* x, float factor, int width, float* y) {
  for_vectors(width, [&](std::int64_t i, auto n) { store(y + i, set1(factor) * load(x + i, n), n); });
}
HEED_INLINE float dot(const float* x, const float* y, int width) {
  F sum = zero();
  for_vectors(width, [&](std::int64_t i, auto n) { sum = fma(load(x + i, n), load(y + i, n), sum); });
  return reduce_add(sum);
}
HEED_INLINE float exp_of(float x) { return exp(set1(x))[0]; }

/// Columns of a state are independent of each other: `wide` vectors of them at a time, from column `m`.
template <int wide>
HEED_INLINE void recur_columns(const LinearHead& head, std::int64_t t, const float* decays, float* state,
                               std::int64_t m, auto n) {
  const std::int64_t stride = head.value_width;
  const float* const key = head.key.row(t);
  float* const first = state + m;
  F u[wide];
  HEED_UNROLL for (int i = 0; i < wide; ++i) u[i] = load(head.value.row(t) + m + i * lanes, n);
  if (head.beta.data) {
    F expected[wide];
    HEED_UNROLL for (int i = 0; i < wide; ++i) expected[i] = zero();
    for (int d = 0; d < head.key_width; ++d)
      HEED_UNROLL for (int i = 0; i < wide; ++i) expected[i] =
          fma(set1(key[d] * decays[d]), load(first + d * stride + i * lanes, n), expected[i]);
    HEED_UNROLL for (int i = 0; i < wide; ++i) u[i] = set1(head.beta.row(t)[0]) * (u[i] - expected[i]);
  }
  F out[wide];
  HEED_UNROLL for (int i = 0; i < wide; ++i) out[i] = zero();
  const float* query = head.query.row(t);
  for (int d = 0; d < head.key_width; ++d) HEED_UNROLL for (int i = 0; i < wide; ++i) {
      float* const at = first + d * stride + i * lanes;
      const F element = fma(set1(key[d]), u[i], set1(decays[d]) * load(at, n));
      store(at, element, n);
      out[i] = fma(set1(query[d]), element, out[i]);
    }
  float* output = head.output.row(t) + m;
  for (int member = 0;;) {
    HEED_UNROLL for (int i = 0; i < wide; ++i) store(output + i * lanes, set1(head.scale) * out[i], n);
    if (++member == head.group) break;
    query += head.key_width;
    output += head.value_width;
    HEED_UNROLL for (int i = 0; i < wide; ++i) out[i] = zero();
    for (int d = 0; d < head.key_width; ++d)
      HEED_UNROLL for (int i = 0; i < wide; ++i) out[i] =
          fma(set1(query[d]), load(first + d * stride + i * lanes, n), out[i]);
  }
}

void recur(const LinearHead& head, float* state, float* decays) {
  for (int d = 0; d < head.key_width; ++d) decays[d] = 1.0f;
  for (std::int64_t t = 0; t < head.rows; ++t) {
    if (head.decay.data && head.decay_each)
      for_vectors(head.key_width,
                  [&](std::int64_t i, auto n) { store(decays + i, exp(load(head.decay.row(t) + i, n)), n); });
    else if (head.decay.data) {
      const float decay = exp_of(head.decay.row(t)[0]);
      for (int d = 0; d < head.key_width; ++d) decays[d] = decay;
    }
    std::int64_t m = 0;
    for (; m + 4 * lanes <= head.value_width; m += 4 * lanes) recur_columns<4>(head, t, decays, state, m, Whole{});
    for (; m + lanes <= head.value_width; m += lanes) recur_columns<1>(head, t, decays, state, m, Whole{});
    if (m < head.value_width) recur_columns<1>(head, t, decays, state, m, static_cast<int>(head.value_width - m));
  }
}

void exponentials(Rows g, std::int64_t rows, int width, Rows a) {
  for (std::int64_t t = 0; t < rows; ++t)
    for_vectors(width, [&](std::int64_t i, auto n) { store(a.row(t) + i, exp(load(g.row(t) + i, n)), n); });
}

/// Calls put(t, what stands before row t is multiplied in, what stands with it) from the first row on, or back.
HEED_INLINE void fade_by(std::int64_t rows, bool back, auto product, auto&& decay, auto&& put, auto&& finish) {
  for (std::int64_t i = 0; i < rows; ++i) {
    const std::int64_t t = back ? rows - 1 - i : i;
    const auto next = product * decay(t);
    put(t, back ? product : next);
    product = next;
  }
  finish(product);
}

void fade(Rows x, Rows a, bool one, bool back, std::int64_t rows, int width, bool accumulate, Rows y, float* product) {
  if (one) {
    fade_by(
        rows, back, 1.0f, [&](std::int64_t t) { return a.row(t)[0]; },
        [&](std::int64_t t, float factor) {
          if (accumulate)
            add(x.row(t), factor, width, y.row(t));
          else
            scale(x.row(t), factor, width, y.row(t));
        },
        [&](float all) {
          if (product) product[0] = all;
        });
    return;
  }
  for_vectors(width, [&](std::int64_t i, auto n) {
    fade_by(
        rows, back, set1(1.0f), [&](std::int64_t t) __attribute__((always_inline)) { return load(a.row(t) + i, n); },
        [&](std::int64_t t, F factor) __attribute__((always_inline)) {
          const F value = load(x.row(t) + i, n) * factor;
          store(y.row(t) + i, accumulate ? value + load(y.row(t) + i, n) : value, n);
        },
        [&](F all) __attribute__((always_inline)) {
          if (product) store(product + i, all, n);
        });
  });
}

void scale_columns(Rows x, const float* factor, std::int64_t rows, int width) {
  for (std::int64_t t = 0; t < rows; ++t)
    for_vectors(width,
                [&](std::int64_t i, auto n) { store(x.row(t) + i, load(x.row(t) + i, n) * load(factor + i, n), n); });
}

void scale_rows(Rows x, const float* factor, bool one, std::int64_t rows, int width) {
  for (std::int64_t d = 0; d < rows; ++d) scale(x.row(d), factor[one ? 0 : d], width, x.row(d));
}

void sum_back(Rows x, std::int64_t rows, int width, Rows sums) {
  for_vectors(width, [&](std::int64_t i, auto n) {
    F sum = zero();
    for (std::int64_t t = rows - 1; t >= 0; --t) store(sums.row(t) + i, sum += load(x.row(t) + i, n), n);
  });
}

void products(Rows a, std::int64_t rows, Rows P) {
  for (std::int64_t t = 0; t < rows; ++t) {
    if (t > 0) scale(P.row(t - 1), a.row(t)[0], static_cast<int>(t), P.row(t));
    P.row(t)[t] = 1.0f;
  }
}

void hide(Rows A, Rows P, bool strict, std::int64_t rows) {
  for (std::int64_t t = 0; t < rows; ++t) {
    float* const row = A.row(t);
    const std::int64_t seen = strict ? t : t + 1;
    if (P.data)
      for_vectors(seen, [&](std::int64_t i, auto n) { store(row + i, load(row + i, n) * load(P.row(t) + i, n), n); });
    for (std::int64_t s = seen; s < rows; ++s) row[s] = 0.0f;
  }
}

void near_scores(Rows q, Rows k, Rows a, std::int64_t rows, int width, bool strict, float* faded, Rows A) {
  for (std::int64_t s = 0; s < rows; ++s) {
    scale(k.row(s), 1.0f, width, faded);
    for (std::int64_t t = 0; t < s; ++t) A.row(t)[s] = 0.0f;
    A.row(s)[s] = strict ? 0.0f : dot(q.row(s), faded, width);
    for (std::int64_t t = s + 1; t < rows; ++t) {
      F sum = zero();
      for_vectors(width, [&](std::int64_t i, auto n) {
        const F value = load(faded + i, n) * load(a.row(t) + i, n);
        store(faded + i, value, n);
        sum = fma(load(q.row(t) + i, n), value, sum);
      });
      A.row(t)[s] = reduce_add(sum);
    }
  }
}

void near_rows(Rows dA, Rows k, Rows a, std::int64_t rows, int width, bool strict, float* faded, Rows x) {
  for (std::int64_t s = 0; s < rows; ++s) {
    scale(k.row(s), 1.0f, width, faded);
    if (!strict) add(faded, dA.row(s)[s], width, x.row(s));
    for (std::int64_t t = s + 1; t < rows; ++t)
      for_vectors(width, [&](std::int64_t i, auto n) {
        const F value = load(faded + i, n) * load(a.row(t) + i, n);
        store(faded + i, value, n);
        store(x.row(t) + i, fma(set1(dA.row(t)[s]), value, load(x.row(t) + i, n)), n);
      });
  }
}

void near_columns(Rows dA, Rows q, Rows a, std::int64_t rows, int width, bool strict, float* faded, Rows y) {
  for (std::int64_t t = 0; t < rows; ++t) {
    scale(q.row(t), 1.0f, width, faded);
    if (!strict) add(faded, dA.row(t)[t], width, y.row(t));
    for (std::int64_t s = t - 1; s >= 0; --s)
      for_vectors(width, [&](std::int64_t i, auto n) {
        const F value = load(faded + i, n) * load(a.row(s + 1) + i, n);
        store(faded + i, value, n);
        store(y.row(s) + i, fma(set1(dA.row(t)[s]), value, load(y.row(s) + i, n)), n);
      });
  }
}

/// x −= Σ_{s in [begin, end)} factor(s)·u[s]: the sums of a few vectors of columns stay in registers.
HEED_INLINE void subtract_rows(float* x, Rows u, std::int64_t begin, std::int64_t end, int width, auto&& factor) {
  std::int64_t i = 0;
  for (; i + 4 * lanes <= width; i += 4 * lanes) {
    F sum[4];
    HEED_UNROLL for (int j = 0; j < 4; ++j) sum[j] = load(x + i + j * lanes);
    for (std::int64_t s = begin; s < end; ++s)
      HEED_UNROLL for (int j = 0; j < 4; ++j) sum[j] = fma(set1(-factor(s)), load(u.row(s) + i + j * lanes), sum[j]);
    HEED_UNROLL for (int j = 0; j < 4; ++j) store(x + i + j * lanes, sum[j]);
  }
  for_vectors(width - i, [&](std::int64_t j, auto n) {
    F sum = load(x + i + j, n);
    for (std::int64_t s = begin; s < end; ++s) sum = fma(set1(-factor(s)), load(u.row(s) + i + j, n), sum);
    store(x + i + j, sum, n);
  });
}

void solve(Rows L, Rows beta, std::int64_t rows, int width, Rows error, Rows u) {
  for (std::int64_t t = 0; t < rows; ++t) {
    subtract_rows(error.row(t), u, 0, t, width, [&](std::int64_t s) { return L.row(t)[s]; });
    scale(error.row(t), beta.row(t)[0], width, u.row(t));
  }
}

void solve_back(Rows L, Rows beta, Rows error, std::int64_t rows, int width, Rows w, Rows dbeta) {
  for (std::int64_t t = rows - 1; t >= 0; --t) {
    // Rows behind are already multiplied by their beta.
    subtract_rows(w.row(t), w, t + 1, rows, width, [&](std::int64_t s) { return L.row(s)[t]; });
    dbeta.row(t)[0] = dot(w.row(t), error.row(t), width);
    scale(w.row(t), beta.row(t)[0], width, w.row(t));
  }
}

void add_products(Rows x, Rows y, float factor, std::int64_t rows, int width, bool one, Rows sums) {
  for (std::int64_t t = 0; t < rows; ++t) {
    float* const to = sums.row(t);
    if (one)
      to[0] += factor * dot(x.row(t), y.row(t), width);
    else
      for_vectors(width, [&](std::int64_t i, auto n) {
        store(to + i, fma(set1(factor) * load(x.row(t) + i, n), load(y.row(t) + i, n), load(to + i, n)), n);
      });
  }
}

}  // namespace

extern const attention::LinearKernels linear_kernels;
const attention::LinearKernels linear_kernels = {recur,        exponentials, fade,       scale_columns, scale_rows,
                                                 sum_back,     products,     hide,       near_scores,   near_rows,
                                                 near_columns, solve,        solve_back, add_products};

}  // namespace heed::HEED_ISA
