#pragma once
// Operators in their most obvious form, over any number that +, · and exp know: with double they give the expected
// values, with complex numbers they are differentiated (see gradients.h).
#include <heed/ops.h>

#include <cmath>
#include <complex>
#include <limits>
#include <numbers>
#include <vector>

#include "attention/problem.h"

namespace heed::test {

using Complex = std::complex<double>;

/// Rows of numbers; a vector is one row.
template <class T>
struct Array {
  std::int64_t rows = 0, width = 0;
  std::vector<T> values;

  Array() = default;
  Array(std::int64_t row_count, std::int64_t row_width)
      : rows(row_count), width(row_width), values(static_cast<std::size_t>(row_count * row_width)) {}
  T& operator()(std::int64_t i, std::int64_t j) { return values[static_cast<std::size_t>(i * width + j)]; }
  const T& operator()(std::int64_t i, std::int64_t j) const { return values[static_cast<std::size_t>(i * width + j)]; }
  const T& operator[](std::int64_t j) const { return values[static_cast<std::size_t>(j)]; }
};

/// What decides: comparisons look at the real part.
inline double real(double x) { return x; }
inline double real(const Complex& x) { return x.real(); }

namespace reference {

using std::cos, std::exp, std::log, std::sin, std::sqrt, std::tanh;

inline double error_function(double x) { return std::erf(x); }
/// To first order in the imaginary part, which is all that a complex step has.
inline Complex error_function(const Complex& x) {
  const double slope = 2.0 / std::sqrt(std::numbers::pi) * std::exp(-x.real() * x.real());
  return {std::erf(x.real()), x.imag() * slope};
}

template <class T>
Array<T> columns(const Array<T>& x, std::int64_t begin, std::int64_t width) {
  Array<T> part(x.rows, width);
  for (std::int64_t i = 0; i < x.rows; ++i)
    for (std::int64_t j = 0; j < width; ++j) part(i, j) = x(i, begin + j);
  return part;
}

template <class T>
Array<T> add(Array<T> x, const Array<T>& y) {
  for (std::size_t i = 0; i < x.values.size(); ++i) x.values[i] += y.values[i];
  return x;
}

template <class T>
Array<T> multiply(Array<T> x, const Array<T>& y) {
  for (std::size_t i = 0; i < x.values.size(); ++i) x.values[i] *= y.values[i];
  return x;
}

/// x·Wᵀ + bias; bias may be empty.
template <class T>
Array<T> linear(const Array<T>& x, const Array<T>& weight, const Array<T>& bias = {}) {
  Array<T> y(x.rows, weight.rows);
  for (std::int64_t i = 0; i < x.rows; ++i)
    for (std::int64_t j = 0; j < weight.rows; ++j) {
      if (bias.width > 0) y(i, j) = bias[j];
      for (std::int64_t k = 0; k < x.width; ++k) y(i, j) += x(i, k) * weight(j, k);
    }
  return y;
}

/// weight = [W_0 | W_1 | …], each for one neighbour of a token, from (width − 1)/2 before it on.
template <class T>
Array<T> convolve(const Array<T>& x, const Array<T>& weight, const Array<T>& bias, std::int64_t width,
                  const Sequences& sequences) {
  Array<T> y(x.rows, weight.rows);
  for (std::int64_t i = 0; i < sequences.count(); ++i)
    for (std::int64_t t = 0; t < sequences.length(i); ++t)
      for (std::int64_t o = 0; o < weight.rows; ++o) {
        T& sum = y(sequences.begin(i) + t, o);
        if (bias.width > 0) sum = bias[o];
        for (std::int64_t j = 0; j < width; ++j) {
          const std::int64_t neighbour = t + j - (width - 1) / 2;
          if (neighbour < 0 || neighbour >= sequences.length(i)) continue;
          for (std::int64_t k = 0; k < x.width; ++k)
            sum += weight(o, j * x.width + k) * x(sequences.begin(i) + neighbour, k);
        }
      }
  return y;
}

template <class T>
Array<T> gather(const Array<T>& table, const std::vector<std::int32_t>& ids, double scale = 1.0) {
  Array<T> y(static_cast<std::int64_t>(ids.size()), table.width);
  for (std::int64_t i = 0; i < y.rows; ++i)
    for (std::int64_t j = 0; j < y.width; ++j) y(i, j) = scale * table(ids[static_cast<std::size_t>(i)], j);
  return y;
}

inline std::vector<std::int32_t> positions_of(const Sequences& sequences) {
  std::vector<std::int32_t> positions;
  for (std::int64_t i = 0; i < sequences.count(); ++i)
    for (std::int64_t t = 0; t < sequences.length(i); ++t)
      positions.push_back(static_cast<std::int32_t>(sequences.position(i) + t));
  return positions;
}

/// Vaswani et al. 2017, section 3.5: PE(p, 2i) = sin(p / 10000^(2i/width)), PE(p, 2i + 1) = cos(the same).
template <class T>
Array<T> add_sinusoidal_positions(Array<T> x, const Sequences& sequences) {
  const std::vector<std::int32_t> positions = positions_of(sequences);
  for (std::int64_t i = 0; i < x.rows; ++i)
    for (std::int64_t j = 0; j < x.width; ++j) {
      const double exponent = static_cast<double>(2 * (j / 2)) / static_cast<double>(x.width);
      const double angle = positions[static_cast<std::size_t>(i)] / std::pow(10000.0, exponent);
      x(i, j) += j % 2 == 0 ? std::sin(angle) : std::cos(angle);
    }
  return x;
}

template <class T>
Array<T> layer_norm(const Array<T>& x, const Array<T>& gain, const Array<T>& bias, double epsilon) {
  Array<T> y(x.rows, x.width);
  const double width = static_cast<double>(x.width);
  for (std::int64_t i = 0; i < x.rows; ++i) {
    T mean{}, variance{};
    for (std::int64_t j = 0; j < x.width; ++j) mean += x(i, j) / width;
    for (std::int64_t j = 0; j < x.width; ++j) variance += (x(i, j) - mean) * (x(i, j) - mean) / width;
    for (std::int64_t j = 0; j < x.width; ++j) {
      y(i, j) = gain[j] * (x(i, j) - mean) / sqrt(variance + epsilon);
      if (bias.width > 0) y(i, j) += bias[j];
    }
  }
  return y;
}

template <class T>
Array<T> rms_norm(const Array<T>& x, const Array<T>& gain, double epsilon) {
  Array<T> y(x.rows, x.width);
  for (std::int64_t i = 0; i < x.rows; ++i) {
    T squares{};
    for (std::int64_t j = 0; j < x.width; ++j) squares += x(i, j) * x(i, j) / static_cast<double>(x.width);
    for (std::int64_t j = 0; j < x.width; ++j) y(i, j) = gain[j] * x(i, j) / sqrt(squares + epsilon);
  }
  return y;
}

template <class T>
T activation(ActivationKind kind, const T& x) {
  switch (kind) {
    case ActivationKind::relu:
      return real(x) > 0.0 ? x : T{};
    case ActivationKind::gelu:
      return 0.5 * x * (1.0 + error_function(x / std::numbers::sqrt2));
    case ActivationKind::gelu_tanh:
      return 0.5 * x * (1.0 + tanh(std::sqrt(2.0 / std::numbers::pi) * (x + 0.044715 * x * x * x)));
    case ActivationKind::silu:
      return x / (1.0 + exp(-x));
    case ActivationKind::tanh:
      return tanh(x);
    case ActivationKind::sigmoid:
      return 1.0 / (1.0 + exp(-x));
  }
  return T{};
}

template <class T>
Array<T> activate(Array<T> x, ActivationKind kind) {
  for (T& value : x.values) value = activation(kind, value);
  return x;
}

/// f(gate)·up of x = [gate | up].
template <class T>
Array<T> gated(const Array<T>& x, ActivationKind kind) {
  Array<T> y(x.rows, x.width / 2);
  for (std::int64_t i = 0; i < y.rows; ++i)
    for (std::int64_t j = 0; j < y.width; ++j) y(i, j) = activation(kind, x(i, j)) * x(i, y.width + j);
  return y;
}

/// Each element is dropped where its 32 bits of the key are below rate · 2³².
template <class T>
Array<T> dropout(Array<T> x, double rate, RandomKey key) {
  for (std::size_t i = 0; i < x.values.size(); ++i) {
    const bool dropped = hash32(key, static_cast<std::uint32_t>(i)) < std::round(std::ldexp(rate, 32));
    x.values[i] *= dropped ? 0.0 : 1.0 / (1.0 - rate);
  }
  return x;
}

template <class T>
Array<T> pool(const Array<T>& x, Pooling kind, const Sequences& sequences) {
  Array<T> y(sequences.count(), x.width);
  for (std::int64_t i = 0; i < sequences.count(); ++i)
    for (std::int64_t j = 0; j < x.width; ++j) {
      const bool at_end = kind == Pooling::last || (kind == Pooling::ends && j < x.width / 2);
      T sum{}, largest = x(sequences.begin(i), j);
      for (std::int64_t t = 0; t < sequences.length(i); ++t) {
        const T& value = x(sequences.begin(i) + t, j);
        sum += value;
        if (real(value) > real(largest)) largest = value;
      }
      y(i, j) = kind == Pooling::mean  ? sum / static_cast<double>(sequences.length(i))
                : kind == Pooling::max ? largest
                                       : x(sequences.begin(i) + (at_end ? sequences.length(i) - 1 : 0), j);
    }
  return y;
}

/// Element i of a head and element i + rotated/2 turn by position · base^(−2i/rotated). Su et al. 2021.
template <class T>
Array<T> rotate(Array<T> x, const AttentionOptions& options, const Sequences& sequences) {
  const std::vector<std::int32_t> positions = positions_of(sequences);
  const std::int64_t half = options.rotated / 2;
  for (std::int64_t row = 0; row < x.rows; ++row)
    for (std::int64_t head = 0; head < x.width; head += options.head_width)
      for (std::int64_t i = 0; i < half; ++i) {
        const double angle =
            positions[static_cast<std::size_t>(row)] *
            std::pow(static_cast<double>(options.rotary_base), -static_cast<double>(i) / static_cast<double>(half));
        const T a = x(row, head + i), b = x(row, head + i + half);
        x(row, head + i) = a * std::cos(angle) - b * std::sin(angle);
        x(row, head + i + half) = b * std::cos(angle) + a * std::sin(angle);
      }
  return x;
}

/// Softmax attention of each sequence's queries over the keys of the sequence of the same number. `relative`: bias by
/// distance, or empty. Weights are dropped with `dropout_key` where the spec says so.
template <class T>
Array<T> attention(const Array<T>& query, const Array<T>& key, const Array<T>& value, const Array<T>& relative,
                   const Sequences& queries, const Sequences& keys, const AttentionOptions& options,
                   RandomKey dropout_key = {}) {
  const std::int64_t h = options.head_width, reach = (relative.width - 1) / 2;
  const double scale = options.spec.scale ? *options.spec.scale : 1.0 / std::sqrt(static_cast<double>(h));
  AttentionProblem problem;
  problem.dropout_key = dropout_key;
  Array<T> output(query.rows, options.heads * h);
  for (std::int64_t s = 0; s < queries.count(); ++s)
    for (int head = 0; head < options.heads; ++head) {
      const std::int64_t own = head * h, shared = head / (options.heads / options.key_value_heads) * h;
      const RandomKey head_key = attention::drop_key(problem, static_cast<std::size_t>(s), head);
      for (std::int64_t i = 0; i < queries.length(s); ++i) {
        const std::int64_t position = queries.position(s) + i, row = queries.begin(s) + i;
        std::vector<T> weights(static_cast<std::size_t>(keys.length(s)));
        double largest = -std::numeric_limits<double>::infinity();
        for (std::int64_t j = 0; j < keys.length(s); ++j) {
          if (!options.spec.mask.allows(static_cast<int>(s), head, position, j)) continue;
          T score{};
          for (std::int64_t c = 0; c < h; ++c)
            score += scale * query(row, own + c) * key(keys.begin(s) + j, shared + c);
          if (options.slopes)
            score -= static_cast<double>(options.slopes.floats()[head]) * static_cast<double>(std::abs(position - j));
          if (relative.width > 0) score += relative(head, std::clamp(j - position, -reach, reach) + reach);
          weights[static_cast<std::size_t>(j)] = score;
          largest = std::max(largest, real(score));
        }
        T sum{};
        for (std::int64_t j = 0; j < keys.length(s); ++j) {
          T& weight = weights[static_cast<std::size_t>(j)];
          weight = options.spec.mask.allows(static_cast<int>(s), head, position, j) ? exp(weight - largest) : T{};
          sum += weight;
        }
        for (std::int64_t j = 0; j < keys.length(s); ++j) {
          const bool dropped = attention::drop_bits(head_key, i, j) < attention::drop_below(options.spec.dropout);
          if (dropped) continue;
          const T weight =
              weights[static_cast<std::size_t>(j)] / sum / (1.0 - static_cast<double>(options.spec.dropout));
          for (std::int64_t c = 0; c < h; ++c) output(row, own + c) += weight * value(keys.begin(s) + j, shared + c);
        }
      }
    }
  return output;
}

/// The whole of self_attention: x = [query | key | value].
template <class T>
Array<T> self_attention(const Array<T>& x, const Array<T>& relative, const Sequences& sequences,
                        const AttentionOptions& options, RandomKey dropout_key = {}) {
  const std::int64_t own = options.heads * options.head_width, shared = options.key_value_heads * options.head_width;
  Array<T> query = columns(x, 0, own), key = columns(x, own, shared);
  if (options.rotated > 0) {
    query = rotate(query, options, sequences);
    key = rotate(key, options, sequences);
  }
  return attention(query, key, columns(x, own + shared, shared), relative, sequences, sequences, options, dropout_key);
}

/// The summed loss of softmax(logits) against (1 − smoothing)·onehot + smoothing/classes; targets of −1 do not count.
template <class T>
T cross_entropy(const Array<T>& logits, const std::vector<std::int32_t>& targets, double smoothing) {
  T loss{};
  for (std::int64_t i = 0; i < logits.rows; ++i) {
    const std::int32_t target = targets[static_cast<std::size_t>(i)];
    if (target < 0) continue;
    double largest = real(logits(i, 0));
    for (std::int64_t j = 0; j < logits.width; ++j) largest = std::max(largest, real(logits(i, j)));
    T sum{}, logit_sum{};
    for (std::int64_t j = 0; j < logits.width; ++j) {
      sum += exp(logits(i, j) - largest);
      logit_sum += logits(i, j);
    }
    const T normaliser = largest + log(sum);
    loss +=
        normaliser - (1.0 - smoothing) * logits(i, target) - smoothing / static_cast<double>(logits.width) * logit_sum;
  }
  return loss;
}

}  // namespace reference

}  // namespace heed::test
