#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numbers>
#include <random>

#include "kernels/rows.h"
#include "support/differences.h"
#include "support/instruction_sets.h"
#include "support/matrix.h"

namespace heed::kernels {
namespace {

using test::Matrix;

constexpr Activation every_activation[] = {Activation::relu, Activation::gelu, Activation::gelu_tanh,
                                           Activation::silu, Activation::tanh, Activation::sigmoid};
constexpr DType both_types[] = {DType::float32, DType::bfloat16};

double sigmoid(double x) { return 1.0 / (1.0 + std::exp(-x)); }

double formula(Activation kind, double x) {
  switch (kind) {
    case Activation::relu:
      return x > 0.0 ? x : 0.0;
    case Activation::gelu:
      return x * 0.5 * std::erfc(-x / std::numbers::sqrt2);
    case Activation::gelu_tanh:
      // (1 + tanh(u))/2 = sigmoid(2u), without the cancellation.
      return x * sigmoid(2.0 * std::sqrt(2.0 / std::numbers::pi) * (x + 0.044715 * x * x * x));
    case Activation::silu:
      return x * sigmoid(x);
    case Activation::tanh:
      return std::tanh(x);
    case Activation::sigmoid:
      return sigmoid(x);
  }
  return 0.0;
}

double derivative(Activation kind, double x) {
  if (kind == Activation::relu) return x > 0.0 ? 1.0 : 0.0;  // a corner has no difference quotient
  return test::difference(x, [&](double at) { return formula(kind, at); });
}

/// Numbers from −12 to 12, so that the tails are seen too.
Matrix wide_numbers(std::int64_t rows, std::int64_t width, std::mt19937& random, DType dtype = DType::float32) {
  Matrix x(rows, width, dtype);
  std::uniform_real_distribution<double> uniform(-12.0, 12.0);
  for (std::int64_t i = 0; i < rows; ++i)
    for (std::int64_t j = 0; j < width; ++j) x.set(i, j, j % 2 == 0 ? uniform(random) : 0.1 * uniform(random));
  return x;
}

TEST(Activation, EqualsTheFormulaInDouble) {
  ThreadPool pool(2);
  std::mt19937 random(1);
  for (const int width : {1, 3, 17, 64, 65, 1000})
    for (const DType from : both_types)
      for (const DType to : both_types) {
        Matrix x = wide_numbers(4, width, random, from), y(4, width, to);
        test::on_every_instruction_set([&] {
          for (const Activation kind : every_activation) {
            activate(kind, x.view(), y.view(), pool);
            test::expect_matrix(
                y, [&](std::int64_t i, std::int64_t j) { return formula(kind, x.at(i, j)); },
                [&](std::int64_t i, std::int64_t j) {
                  // exp turns the rounding of its argument, of magnitude x² (x³ where tanh stands in), into a relative
                  // error; it ends at 2^±127.
                  const double size = std::fabs(x.at(i, j));
                  return std::fabs(formula(kind, x.at(i, j))) * (1.0 + size * size / 2.0) + size * 0x1p-102;
                },
                8.0);
          }
        });
      }
}

TEST(Activation, BackwardEqualsDifferencesOfTheFormula) {
  ThreadPool pool(2);
  std::mt19937 random(2);
  for (const int width : {1, 17, 65, 1000})
    for (const DType type : both_types)
      for (const DType slopes : both_types)
        for (const DType to : both_types) {
          Matrix x = wide_numbers(3, width, random, type), dy(3, width, random, slopes);
          const Matrix before(3, width, random, to);
          test::on_every_instruction_set([&] {
            for (const Activation kind : every_activation)
              for (const bool accumulate : {false, true}) {
                if (accumulate && to == DType::bfloat16) continue;
                Matrix dx = before;
                activate_backward(kind, x.view(), dy.view(), dx.view(), accumulate, pool);
                test::expect_matrix(
                    dx,
                    [&](std::int64_t i, std::int64_t j) {
                      return dy.at(i, j) * derivative(kind, x.at(i, j)) + (accumulate ? before.at(i, j) : 0.0);
                    },
                    [&](std::int64_t i, std::int64_t j) {
                      return 4.0 * std::fabs(dy.at(i, j)) + std::fabs(before.at(i, j));
                    },
                    8.0);
              }
          });
        }
}

TEST(Activation, SpecialNumbersStayWhatTheyAre) {
  ThreadPool pool(1);
  const double infinity = std::numeric_limits<double>::infinity();
  Matrix x(1, 2), y(1, 2);
  test::on_every_instruction_set([&] {
    for (const Activation kind : every_activation) {
      x.set(0, 0, std::nan(""));
      x.set(0, 1, infinity);
      activate(kind, x.view(), y.view(), pool);
      EXPECT_TRUE(std::isnan(y.at(0, 0))) << static_cast<int>(kind);
      EXPECT_EQ(y.at(0, 1), kind == Activation::tanh || kind == Activation::sigmoid ? 1.0 : infinity);
    }
  });
}

TEST(Activation, DenseRowsAndInPlaceGiveTheSame) {
  ThreadPool pool(3);
  std::mt19937 random(3);
  const Matrix apart(50, 700, random);
  Matrix x = apart, dense(50, 700, DType::float32, 0), y(50, 700);
  for (std::int64_t i = 0; i < 50; ++i)
    for (std::int64_t j = 0; j < 700; ++j) dense.set(i, j, apart.at(i, j));
  activate(Activation::gelu, x.view(), y.view(), pool);
  activate(Activation::gelu, x.view(), x.view(), pool);
  activate(Activation::gelu, dense.view(), dense.view(), pool);
  for (std::int64_t i = 0; i < 50; ++i) {
    EXPECT_EQ(x.row(i), y.row(i));
    EXPECT_EQ(dense.row(i), y.row(i));
  }
}

TEST(Gate, EqualsTheFormulaInDouble) {
  ThreadPool pool(2);
  std::mt19937 random(4);
  for (const int width : {1, 3, 17, 64, 65, 1000})
    for (const DType from : both_types)
      for (const DType to : both_types) {
        Matrix x = wide_numbers(4, 2 * width, random, from), y(4, width, to);
        test::on_every_instruction_set([&] {
          for (const Activation kind : every_activation) {
            gate(kind, x.view(), y.view(), pool);
            test::expect_matrix(
                y, [&](std::int64_t i, std::int64_t j) { return formula(kind, x.at(i, j)) * x.at(i, j + width); },
                [&](std::int64_t i, std::int64_t j) {
                  return (std::fabs(x.at(i, j)) + 1.0) * std::fabs(x.at(i, j + width));
                },
                8.0);
          }
        });
      }
}

TEST(Gate, BackwardEqualsDifferencesOfTheFormula) {
  ThreadPool pool(2);
  std::mt19937 random(5);
  for (const int width : {1, 17, 65, 520})
    for (const DType type : both_types)
      for (const DType to : both_types) {
        Matrix x = wide_numbers(3, 2 * width, random, type), dy(3, width, random, type);
        const Matrix before(3, 2 * width, random, to);
        test::on_every_instruction_set([&] {
          for (const Activation kind : every_activation)
            for (const bool accumulate : {false, true}) {
              if (accumulate && to == DType::bfloat16) continue;
              Matrix dx = before;
              gate_backward(kind, x.view(), dy.view(), dx.view(), accumulate, pool);
              test::expect_matrix(
                  dx,
                  [&](std::int64_t i, std::int64_t j) {
                    const double start = accumulate ? before.at(i, j) : 0.0;
                    if (j >= width) return start + dy.at(i, j - width) * formula(kind, x.at(i, j - width));
                    return start + dy.at(i, j) * x.at(i, j + width) * derivative(kind, x.at(i, j));
                  },
                  [&](std::int64_t i, std::int64_t j) {
                    const std::int64_t other = j < width ? j + width : j - width;
                    return std::fabs(before.at(i, j)) +
                           2.0 * std::fabs(dy.at(i, j % width)) * (std::fabs(x.at(i, other)) + 1.0);
                  },
                  8.0);
            }
        });
      }
}

TEST(Activation, NoRowsAreNoWork) {
  ThreadPool pool(2);
  Matrix x(0, 8), y(0, 4);
  activate(Activation::gelu, x.view(), x.view(), pool);
  gate(Activation::silu, x.view(), y.view(), pool);
  gate_backward(Activation::silu, x.view(), y.view(), x.view(), false, pool);
}

}  // namespace
}  // namespace heed::kernels
