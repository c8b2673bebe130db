#include "kernels/cpu/norm.h"

#include "kernels/cpu/elements.h"

namespace heed::HEED_ISA {

namespace {

/// y = gain · (x − mean) · inverse + bias, with mean 0 and no bias for RMS norm.
template <bool centred, class Y>
void forward(View x, const float* gain, const float* bias, float epsilon, View y, float* mean, float* inverse) {
  const float share = 1.0f / static_cast<float>(x.width);
  for (std::int64_t row = 0; row < x.rows; ++row) {
    const float* const from = row_of(x, row);
    F middle = zero();
    if constexpr (centred) {
      mean[row] = reduce_add(sum_vectors(x.width, [&](std::int64_t j, auto n) { return load(from + j, n); })) * share;
      middle = set1(mean[row]);
    }
    // The variance in a second pass over the row, which lies in the first-level cache: E[x²] − E[x]² would cancel.
    const F squares = sum_vectors(x.width, [&](std::int64_t j, auto n) {
      const F distance = keep(load(from + j, n) - middle, n);
      return distance * distance;
    });
    inverse[row] = 1.0f / __builtin_sqrtf(reduce_add(squares) * share + epsilon);
    const F scale = set1(inverse[row]);
    Y* const to = row_of<Y>(y, row);
    for_vectors(x.width, [&](std::int64_t j, auto n) {
      const F normed = (load(from + j, n) - middle) * scale * load(gain + j, n);
      store(to + j, centred && bias ? normed + load(bias + j, n) : normed, n);
    });
  }
}

/// With x̂ = (x − mean) · inverse and g = gain · dy:  dx = inverse · (g − mean(g) − x̂ · mean(g · x̂)), where RMS norm has
/// no mean(g);  dgain = Σ dy · x̂;  dbias = Σ dy.
template <bool centred>
void backward(View x, const float* gain, const float* mean, const float* inverse, View dy, View dx, bool accumulate_x,
              float* gain_sum, float* bias_sum) {
  const float share = 1.0f / static_cast<float>(x.width);
  for (std::int64_t row = 0; row < x.rows; ++row) {
    const float* const from = row_of(x, row);
    const float* const slope = row_of(dy, row);
    const F middle = centred ? set1(mean[row]) : zero();
    const F scale = set1(inverse[row]);
    F sum = zero(), product = zero();
    for_vectors(x.width, [&](std::int64_t j, auto n) {
      const F d = load(slope + j, n);
      const F normed = (load(from + j, n) - middle) * scale;  // past the row's end d is 0
      const F g = d * load(gain + j, n);
      if constexpr (centred) sum += g;
      product = fma(g, normed, product);
      if (gain_sum) store(gain_sum + j, fma(d, normed, load(gain_sum + j, n)), n);
      if (centred && bias_sum) store(bias_sum + j, load(bias_sum + j, n) + d, n);
    });
    if (!dx.data) continue;
    const F mean_g = set1(reduce_add(sum) * share);
    const F mean_product = set1(reduce_add(product) * share);
    float* const to = row_of(dx, row);
    for_vectors(x.width, [&](std::int64_t j, auto n) {
      const F normed = (load(from + j, n) - middle) * scale;
      const F g = load(slope + j, n) * load(gain + j, n);
      const F d = (g - mean_g - normed * mean_product) * scale;
      store(to + j, accumulate_x ? load(to + j, n) + d : d, n);
    });
  }
}

void layer(View x, const float* gain, const float* bias, float epsilon, View y, float* mean, float* inverse) {
  with_type(y, [&]<class Y>(Y*) { forward<true, Y>(x, gain, bias, epsilon, y, mean, inverse); });
}

void rms(View x, const float* gain, float epsilon, View y, float* inverse) {
  with_type(y, [&]<class Y>(Y*) { forward<false, Y>(x, gain, nullptr, epsilon, y, nullptr, inverse); });
}

void rms_backward(View x, const float* gain, const float* inverse, View dy, View dx, bool accumulate_x,
                  float* gain_sum) {
  backward<false>(x, gain, nullptr, inverse, dy, dx, accumulate_x, gain_sum, nullptr);
}

}  // namespace

extern const kernels::NormKernels norm_kernels;
const kernels::NormKernels norm_kernels = {layer, rms, backward<true>, rms_backward};

}  // namespace heed::HEED_ISA
