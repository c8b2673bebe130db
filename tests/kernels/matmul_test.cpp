#include "kernels/matmul.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <utility>
#include <vector>

#include "kernels/cpu/matmul.h"

namespace heed::kernels {
namespace {

/// A matrix of one of the element types, and its values as doubles. Rows are a little longer than their width; what
/// lies between them is NaN, so reading it shows.
struct Matrix {
  Matrix(std::int64_t rows, std::int64_t width, DType type, std::mt19937& random)
      : dtype(type), row_count(rows), columns(width) {
    std::uniform_real_distribution<float> uniform(-1.0f, 1.0f);
    stride = width + 3;
    bytes.resize(static_cast<std::size_t>(rows * stride * size_of(type)));
    for (std::int64_t r = 0; r < rows; ++r)
      for (std::int64_t c = 0; c < stride; ++c) set(r, c, c < width ? uniform(random) : std::nanf(""));
  }
  void set(std::int64_t r, std::int64_t c, float value) {
    const std::int64_t i = r * stride + c;
    if (dtype == DType::bfloat16)
      reinterpret_cast<bfloat16*>(bytes.data())[i] = bfloat16(value);
    else if (dtype == DType::float16)
      reinterpret_cast<float16*>(bytes.data())[i] = float16(value);
    else
      reinterpret_cast<float*>(bytes.data())[i] = value;
  }
  float at(std::int64_t r, std::int64_t c) const {
    const std::int64_t i = r * stride + c;
    if (dtype == DType::bfloat16) return static_cast<float>(reinterpret_cast<const bfloat16*>(bytes.data())[i]);
    if (dtype == DType::float16) return static_cast<float>(reinterpret_cast<const float16*>(bytes.data())[i]);
    return reinterpret_cast<const float*>(bytes.data())[i];
  }
  View view() { return {bytes.data(), dtype, row_count, columns, stride}; }

  DType dtype;
  std::int64_t row_count, columns, stride;
  std::vector<char> bytes;
};

struct Case {
  std::int64_t m, n, k;
  bool a_transposed = false, b_transposed = false;
  DType a = DType::float32, b = DType::float32, c = DType::float32;
  Product product = Product::float32;
  bool bias = false, accumulate = false;
  float alpha = 1.0f;
  std::string text() const {
    return format("m={} n={} k={} a={}{} b={}{} c={} product={} bias={} accumulate={}", m, n, k, name_of(a),
                  a_transposed ? "ᵀ" : "", name_of(b), b_transposed ? "ᵀ" : "", name_of(c),
                  product == Product::bfloat16 ? "bfloat16" : "float32", bias, accumulate);
  }
};

/// A random problem of a case.
struct Problem {
  explicit Problem(const Case& problem)
      : random(7),
        a(problem.a_transposed ? problem.k : problem.m, problem.a_transposed ? problem.m : problem.k, problem.a,
          random),
        b(problem.b_transposed ? problem.n : problem.k, problem.b_transposed ? problem.k : problem.n, problem.b,
          random),
        c(problem.m, problem.n, problem.c, random),
        bias(1, problem.n, DType::float32, random) {
    task = {.m = problem.m,
            .n = problem.n,
            .k = problem.k,
            .a = a.view(),
            .a_transposed = problem.a_transposed,
            .b = b.view(),
            .b_transposed = problem.b_transposed,
            .c = c.view(),
            .bias = problem.bias ? reinterpret_cast<const float*>(bias.bytes.data()) : nullptr,
            .alpha = problem.alpha,
            .accumulate = problem.accumulate,
            .product = problem.product};
  }
  float left(std::int64_t i, std::int64_t p) const { return rounded(task.a_transposed ? a.at(p, i) : a.at(i, p)); }
  float right(std::int64_t p, std::int64_t j) const { return rounded(task.b_transposed ? b.at(j, p) : b.at(p, j)); }
  float rounded(float value) const {
    return task.product == Product::bfloat16 ? static_cast<float>(bfloat16(value)) : value;
  }
  std::mt19937 random;
  Matrix a, b, c, bias;
  Matmul task;
};

/// Σ a·b and Σ |a·b|.
std::pair<double, double> dot(const double* a, const double* b, std::int64_t count) {
  double sum = 0.0, size = 0.0;
  for (std::int64_t i = 0; i < count; ++i) {
    sum += a[i] * b[i];
    size += std::abs(a[i] * b[i]);
  }
  return {sum, size};
}

/// On every instruction set, each element within a few epsilon of what the double loops give, measured against the sum
/// of the terms' sizes; and nothing written beside the result.
void expect_on_every_instruction_set(const Case& shape) {
  ThreadPool pool(2);
  const Problem original(shape);
  std::vector<double> left, right, expected, tolerance;  // left [m, k], right [n, k]
  for (std::int64_t i = 0; i < shape.m; ++i)
    for (std::int64_t p = 0; p < shape.k; ++p) left.push_back(original.left(i, p));
  for (std::int64_t j = 0; j < shape.n; ++j)
    for (std::int64_t p = 0; p < shape.k; ++p) right.push_back(original.right(p, j));
  for (std::int64_t i = 0; i < shape.m; ++i)
    for (std::int64_t j = 0; j < shape.n; ++j) {
      auto [sum, size] = dot(left.data() + i * shape.k, right.data() + j * shape.k, shape.k);
      const double bias = shape.bias ? original.bias.at(0, j) : 0.0;
      const double old = shape.accumulate ? original.c.at(i, j) : 0.0;
      expected.push_back(shape.alpha * sum + bias + old);
      size = std::abs(shape.alpha) * size + std::abs(bias) + std::abs(old);
      const double half_part = shape.c == DType::bfloat16 ? std::abs(expected.back()) / 256.0 : 0.0;
      tolerance.push_back(4.0 * std::numeric_limits<float>::epsilon() * size + half_part);
    }
  for (const InstructionSet set : available()) {
    Problem problem(shape);
    matmul(problem.task, pool, matmul_kernels_of(set));
    for (std::int64_t i = 0; i < shape.m; ++i) {
      for (std::int64_t j = 0; j < shape.n; ++j) {
        const auto at = static_cast<std::size_t>(i * shape.n + j);
        if (!(std::abs(problem.c.at(i, j) - expected[at]) <= tolerance[at]))  // millions of them: assertions are slow
          FAIL() << name_of(set) << " " << shape.text() << " at " << i << ", " << j << ": " << problem.c.at(i, j)
                 << ", expected " << expected[at] << " ± " << tolerance[at];
      }
      for (std::int64_t j = shape.n; j < problem.c.stride; ++j)
        ASSERT_TRUE(std::isnan(problem.c.at(i, j))) << name_of(set) << " " << shape.text();
    }
  }
}

void with_all_transposes(Case shape) {
  for (const bool a_transposed : {false, true})
    for (const bool b_transposed : {false, true}) {
      shape.a_transposed = a_transposed;
      shape.b_transposed = b_transposed;
      expect_on_every_instruction_set(shape);
    }
}

TEST(Matmul, EqualsDoubleLoopsForEveryTail) {
  const std::int64_t extents[] = {1, 2, 5, 6, 7, 15, 17, 33, 64, 65};
  for (const std::int64_t m : extents)
    for (const std::int64_t n : extents) {
      const std::int64_t k = extents[(m + n) % 10];
      for (const Product product : {Product::float32, Product::bfloat16})
        with_all_transposes({.m = m, .n = n, .k = k, .product = product});
    }
}

TEST(Matmul, EqualsDoubleLoopsForEveryMixtureOfTypes) {
  for (const DType a : {DType::float32, DType::bfloat16, DType::float16})
    for (const DType b : {DType::float32, DType::bfloat16, DType::float16})
      for (const DType c : {DType::float32, DType::bfloat16})
        for (const Product product : {Product::float32, Product::bfloat16})
          for (const std::int64_t m : {3, 13})
            for (const std::int64_t k : {37, 64})
              with_all_transposes({.m = m, .n = 67, .k = k, .a = a, .b = b, .c = c, .product = product, .bias = true});
}

TEST(Matmul, SumsALongRangeInPieces) {
  for (const DType type : {DType::float32, DType::bfloat16})
    for (const Product product : {Product::float32, Product::bfloat16})
      for (const std::int64_t k : {257, 771, 1541, 4099})
        for (const std::int64_t m : {2, 9})
          with_all_transposes({.m = m,
                               .n = 70,
                               .k = k,
                               .a = type,
                               .b = type,
                               .c = type,
                               .product = product,
                               .bias = true,
                               .alpha = 0.5f});
}

TEST(Matmul, ManyBlocksMakeOneProduct) {
  for (const DType type : {DType::float32, DType::bfloat16})
    with_all_transposes({.m = 210,
                         .n = 325,
                         .k = 530,
                         .a = type,
                         .b = type,
                         .c = type,
                         .product = type == DType::bfloat16 ? Product::bfloat16 : Product::float32});
}

TEST(Matmul, ScalesAddsTheBiasAndAccumulates) {
  for (const bool bias : {false, true})
    for (const bool accumulate : {false, true})
      for (const std::int64_t m : {4, 20})
        for (const std::int64_t k : {0, 19, 600})
          with_all_transposes({.m = m, .n = 35, .k = k, .bias = bias, .accumulate = accumulate, .alpha = -0.75f});
}

TEST(Matmul, NothingToSumGivesZeroOrTheBias) {
  with_all_transposes({.m = 7, .n = 5, .k = 0});
  with_all_transposes({.m = 7, .n = 5, .k = 0, .c = DType::bfloat16, .product = Product::bfloat16, .bias = true});
}

TEST(Matmul, EmptyResultsAreLeftAlone) {
  with_all_transposes({.m = 0, .n = 5, .k = 3});
  with_all_transposes({.m = 5, .n = 0, .k = 3});
}

std::vector<char> bits_of(const Case& shape, int threads, const MatmulKernels& kernels) {
  Problem problem(shape);
  ThreadPool pool(threads);
  matmul(problem.task, pool, kernels);
  return problem.c.bytes;
}

TEST(Matmul, BitsAreTheSameForAnyNumberOfThreads) {
  for (const InstructionSet set : available())
    for (const Product product : {Product::float32, Product::bfloat16})
      for (const std::int64_t m : {3, 100})
        for (const bool a_transposed : {false, true})
          for (const bool b_transposed : {false, true}) {
            const Case shape{.m = m,
                             .n = 300,
                             .k = 520,
                             .a_transposed = a_transposed,
                             .b_transposed = b_transposed,
                             .product = product};
            const auto one = bits_of(shape, 1, matmul_kernels_of(set));
            for (const int threads : {2, 3, 5})
              EXPECT_EQ(bits_of(shape, threads, matmul_kernels_of(set)), one) << shape.text() << " threads=" << threads;
          }
}

TEST(Matmul, RowsDoNotDependOnHowManyThereAre) {
  for (const InstructionSet set : available())
    for (const Product product : {Product::float32, Product::bfloat16})
      for (const bool b_transposed : {false, true}) {
        Problem problem({.m = 64, .n = 133, .k = 700, .b_transposed = b_transposed, .product = product});
        ThreadPool pool(2);
        matmul(problem.task, pool, matmul_kernels_of(set));
        const Matrix whole = problem.c;
        for (const std::int64_t rows : {1, 7, 12, 13, 50}) {
          if (b_transposed && rows <= dot_rows) continue;  // the few rows of decoding are summed in another order
          problem.task.m = rows;
          matmul(problem.task, pool, matmul_kernels_of(set));
          EXPECT_EQ(problem.c.bytes, whole.bytes) << name_of(set) << " rows=" << rows;
        }
      }
}

TEST(Matmul, FewRowsDoNotDependOnHowManyThereAre) {
  for (const InstructionSet set : available())
    for (const Product product : {Product::float32, Product::bfloat16}) {
      Problem problem({.m = dot_rows, .n = 133, .k = 700, .b_transposed = true, .product = product});
      ThreadPool pool(2);
      matmul(problem.task, pool, matmul_kernels_of(set));
      const Matrix whole = problem.c;
      for (std::int64_t rows = 1; rows < dot_rows; ++rows) {
        problem.task.m = rows;
        matmul(problem.task, pool, matmul_kernels_of(set));
        EXPECT_EQ(problem.c.bytes, whole.bytes) << name_of(set) << " rows=" << rows;
      }
    }
}

}  // namespace
}  // namespace heed::kernels
