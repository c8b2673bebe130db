#pragma once
// An operator against its reference: values in double, gradients by the complex step, f'(x) = Im f(x + ih) / h, which
// has no difference to cancel and so is exact to rounding (Squire & Trapp 1998).
#include <gtest/gtest.h>
#include <heed/ops.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "support/reference.h"
#include "support/tolerance.h"

namespace heed::test {

/// Sequences of the given lengths, packed.
inline SequencesPointer sequences_of_lengths(const std::vector<std::int64_t>& lengths) {
  auto sequences = std::make_shared<Sequences>();
  for (const std::int64_t length : lengths) sequences->offsets.push_back(sequences->offsets.back() + length);
  return sequences;
}

inline Tensor draw(Shape shape, RandomKey key, float size = 1.0f) {
  Tensor tensor(shape);
  for (std::int64_t i = 0; i < tensor.elements(); ++i)
    tensor.floats()[i] = size * normal(key, static_cast<std::uint64_t>(i));
  return tensor;
}

template <class T>
Array<T> array_of(const Tensor& tensor) {
  const Tensor floats = tensor.to(DType::float32);
  Array<T> array(tensor.rows(), tensor.width());
  for (std::int64_t i = 0; i < tensor.elements(); ++i) array.values[static_cast<std::size_t>(i)] = floats.floats()[i];
  return array;
}

/// The largest difference against the largest expected value: `roundings` of the unit `rounding` each.
inline void expect_array(const Tensor& actual, const Array<double>& expected, double rounding, double roundings,
                         const std::string& what) {
  ASSERT_EQ(actual.elements(), static_cast<std::int64_t>(expected.values.size())) << what;
  const Array<double> values = array_of<double>(actual);
  double norm = 0.0, worst = 0.0;
  for (std::size_t i = 0; i < expected.values.size(); ++i) {
    ASSERT_TRUE(std::isfinite(values.values[i])) << what << " at " << i;
    norm = std::max(norm, std::abs(expected.values[i]));
    worst = std::max(worst, std::abs(values.values[i] - expected.values[i]));
  }
  EXPECT_LE(worst, roundings * rounding * norm) << what << ", largest value " << norm;
}

using Vars = std::vector<Var>;

/// What an operator is tried on.
struct Trial {
  std::vector<Shape> inputs;
  std::vector<SequencesPointer> sequences = {};  ///< of the first inputs
  Precision precision = Precision::float32;
  DType dtype = DType::float32;  ///< of the first input
  bool twice = true;             ///< also the sum of two calls, so that gradients are added to; not where draws differ
  bool starts_from_one = false;  ///< the gradient of the result is 1: a loss
  bool training = true;
  double steps = 1.0;  ///< through which an error goes, one after another

  bool rounds_to_bfloat16() const { return precision == Precision::bfloat16 || dtype == DType::bfloat16; }
  double rounding() const { return unit_roundoff(rounds_to_bfloat16() ? DType::bfloat16 : DType::float32); }
  /// Errors of sums grow with the root of their length.
  double roundings() const {
    std::int64_t longest = 1;
    for (const Shape& shape : inputs)
      for (int i = 0; i < shape.rank(); ++i) longest = std::max(longest, shape[i]);
    return 2.0 * steps * (2.0 + std::sqrt(static_cast<double>(longest)));
  }
};

/// Options of a training pass: drop-out drawn from the key, gradients of weights to `gradients`.
inline PassOptions training_options(WeightGradients* gradients = nullptr, Precision precision = Precision::float32,
                                    RandomKey key = {}) {
  PassOptions options;
  options.training = true;
  options.precision = precision;
  options.key = key;
  options.gradients = gradients;
  return options;
}

constexpr RandomKey trial_key{42};
/// What the n-th random operator of a trial draws with.
inline RandomKey random_call(std::uint64_t n) { return trial_key.fold(n); }

/// op: Vars → Var; reference: std::vector<Array<T>> → Array<T> for double and Complex. Compares the values, the
/// gradients of all inputs, and finds the arena empty in the end.
template <class Operator, class Reference>
void expect_operator(const Trial& trial, Operator&& op, Reference&& reference) {
  Arena arena(std::int64_t{1} << 30);
  ThreadPool pool(2);
  std::vector<Tensor> inputs;
  std::vector<Array<double>> arrays;
  for (const Shape& shape : trial.inputs) {
    const Tensor input = draw(shape, RandomKey{7}.fold(inputs.size()));
    inputs.push_back(inputs.empty() ? input.to(trial.dtype) : input);
    arrays.push_back(array_of<double>(inputs.back()));
  }
  const Array<double> expected = reference(arrays);
  Tensor dy(Shape{expected.rows, expected.width});
  dy.fill(1.0f);
  if (!trial.starts_from_one) dy = draw(dy.shape(), RandomKey{8});

  std::vector<Array<double>> gradients;
  const double step = 1e-40;
  std::vector<Array<Complex>> moved;
  for (const Tensor& input : inputs) moved.push_back(array_of<Complex>(input));
  for (Array<Complex>& input : moved) {
    gradients.emplace_back(input.rows, input.width);
    for (std::size_t i = 0; i < input.values.size(); ++i) {
      input.values[i].imag(step);
      const Array<Complex> result = reference(moved);
      for (std::size_t k = 0; k < result.values.size(); ++k)
        gradients.back().values[i] += result.values[k].imag() / step * static_cast<double>(dy.floats()[k]);
      input.values[i].imag(0.0);
    }
  }

  for (const int calls : {1, 2}) {
    if (calls == 2 && !trial.twice) continue;
    {
      PassOptions options = training_options(nullptr, trial.precision, trial_key);
      options.training = trial.training;
      Pass pass(arena, pool, options);
      Vars vars;
      for (std::size_t i = 0; i < inputs.size(); ++i)
        vars.push_back(pass.input(inputs[i], i < trial.sequences.size() ? trial.sequences[i] : nullptr, true));
      const Var first = op(vars);
      expect_array(first.value(), expected, trial.rounding(), trial.roundings(), "values");
      Var y = first;
      if (calls == 2) y = first + op(vars);
      pass.backward(y, dy.reshaped(y.shape()));
      for (std::size_t i = 0; i < inputs.size(); ++i) {
        Array<double> gradient = gradients[i];
        for (double& value : gradient.values) value *= calls;
        expect_array(pass.gradient_of(vars[i]), gradient, trial.rounding(), trial.roundings(),
                     format("gradient of input {} of {} calls", i, calls));
      }
    }
    EXPECT_EQ(arena.live(), 0);
  }
}

/// The same with products in float32 and in bfloat16.
template <class Operator, class Reference>
void expect_operator_in_both_precisions(Trial trial, Operator&& op, Reference&& reference) {
  for (const Precision precision : {Precision::float32, Precision::bfloat16}) {
    SCOPED_TRACE(precision == Precision::float32 ? "float32" : "bfloat16");
    trial.precision = precision;
    expect_operator(trial, op, reference);
  }
}

}  // namespace heed::test
