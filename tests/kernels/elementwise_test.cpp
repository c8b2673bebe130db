#include <gtest/gtest.h>
#include <heed/random.h>

#include <cmath>
#include <limits>
#include <random>

#include "kernels/rows.h"
#include "support/instruction_sets.h"
#include "support/matrix.h"

namespace heed::kernels {
namespace {

using test::Matrix;

constexpr int widths[] = {1, 3, 17, 64, 65, 1000};

TEST(AddScaled, EqualsTheFormulaInDouble) {
  ThreadPool pool(2);
  std::mt19937 random(1);
  for (const int width : widths)
    for (const DType dtype : {DType::float32, DType::bfloat16}) {
      Matrix x(5, width, random, dtype);
      const Matrix before(5, width, random);
      test::on_every_instruction_set([&] {
        Matrix y = before;
        add_scaled(x.view(), 0.3f, y.view(), -1.7f, pool);
        const double a = static_cast<double>(0.3f), b = static_cast<double>(-1.7f);
        test::expect_matrix(
            y, [&](std::int64_t i, std::int64_t j) { return a * x.at(i, j) + b * before.at(i, j); },
            [&](std::int64_t i, std::int64_t j) { return a * std::fabs(x.at(i, j)) - b * std::fabs(before.at(i, j)); },
            2.0);
      });
    }
}

TEST(AddScaled, ZeroTimesTheTargetNeverReadsIt) {
  ThreadPool pool(1);
  Matrix x(1, 20), y(1, 20);
  for (std::int64_t j = 0; j < 20; ++j) x.set(0, j, 1.0), y.set(0, j, std::nan(""));
  test::on_every_instruction_set([&] {
    add_scaled(x.view(), 2.0f, y.view(), 0.0f, pool);
    for (std::int64_t j = 0; j < 20; ++j) EXPECT_EQ(y.at(0, j), 2.0);
  });
}

TEST(Add, IsTheRoundedSum) {
  ThreadPool pool(2);
  std::mt19937 random(2);
  for (const int width : widths) {
    Matrix x(40, width, random), y(40, width, random), z(40, width);
    test::on_every_instruction_set([&] {
      add(x.view(), y.view(), z.view(), pool);
      for (std::int64_t i = 0; i < z.rows(); ++i)
        for (std::int64_t j = 0; j < width; ++j)
          ASSERT_EQ(z.at(i, j), static_cast<double>(static_cast<float>(x.at(i, j) + y.at(i, j))));
      z.expect_gaps_untouched();
    });
  }
}

TEST(Convert, RoundsAsTheTypesDo) {
  ThreadPool pool(2);
  std::mt19937 random(3);
  constexpr DType types[] = {DType::float32, DType::bfloat16, DType::float16};
  for (const int width : widths)
    for (const DType from : types)
      for (const DType to : types) {
        Matrix x(7, width, random, from, 2), y(7, width, to, 5), expected(7, width, to, 5);
        for (std::int64_t i = 0; i < 7; ++i)
          for (std::int64_t j = 0; j < width; ++j) expected.set(i, j, x.at(i, j));
        test::on_every_instruction_set([&] {
          y = Matrix(7, width, to, 5);
          convert(x.view(), y.view(), pool);
          EXPECT_TRUE(y.same_bits(expected)) << name_of(from) << " to " << name_of(to) << ", width " << width;
        });
      }
}

TEST(SumRows, EqualsTheSumInDouble) {
  ThreadPool pool(2);
  std::mt19937 random(4);
  for (const std::int64_t rows : {0, 1, 5, 1100})
    for (const int width : widths)
      for (const DType dtype : {DType::float32, DType::bfloat16}) {
        if (rows * width > 200000) continue;
        Matrix x(rows, width, random, dtype);
        const Matrix before(1, width, random);
        std::vector<double> sums(static_cast<std::size_t>(width)), sizes(static_cast<std::size_t>(width));
        for (std::int64_t i = 0; i < rows; ++i)
          for (std::int64_t j = 0; j < width; ++j) {
            sums[static_cast<std::size_t>(j)] += x.at(i, j);
            sizes[static_cast<std::size_t>(j)] += std::fabs(x.at(i, j));
          }
        test::on_every_instruction_set([&] {
          for (const bool accumulate : {false, true}) {
            Matrix sum = before;
            sum_rows(x.view(), sum.floats(), accumulate, pool);
            test::expect_matrix(
                sum,
                [&](std::int64_t, std::int64_t j) {
                  return sums[static_cast<std::size_t>(j)] + (accumulate ? before.at(0, j) : 0.0);
                },
                [&](std::int64_t, std::int64_t j) {
                  return sizes[static_cast<std::size_t>(j)] + std::fabs(before.at(0, j));
                },
                4.0);
          }
        });
      }
}

TEST(SumRows, GivesTheSameBitsForAnyNumberOfThreads) {
  std::mt19937 random(5);
  Matrix x(3000, 70, random), sums[] = {Matrix(1, 70), Matrix(1, 70), Matrix(1, 70)};
  for (int threads = 1; threads <= 3; ++threads) {
    ThreadPool pool(threads);
    sum_rows(x.view(), sums[threads - 1].floats(), false, pool);
  }
  EXPECT_TRUE(sums[0].same_bits(sums[1]));
  EXPECT_TRUE(sums[0].same_bits(sums[2]));
}

TEST(SumOfSquares, IsMadeInDouble) {
  std::mt19937 random(6);
  for (const std::int64_t gap : {0, 3})
    for (const int width : widths) {
      Matrix x(333, width, random, DType::float32, gap);
      long double exact = 0.0L;
      for (std::int64_t i = 0; i < x.rows(); ++i)
        for (std::int64_t j = 0; j < width; ++j) exact += static_cast<long double>(x.at(i, j) * x.at(i, j));
      const auto expected = static_cast<double>(exact);
      test::on_every_instruction_set([&] {
        ThreadPool one(1), two(2), three(3);
        const double sum = sum_of_squares(x.view(), one);
        EXPECT_NEAR(sum, expected, 200.0 * test::unit_roundoff(DType::float64) * expected);
        EXPECT_EQ(sum, sum_of_squares(x.view(), two));
        EXPECT_EQ(sum, sum_of_squares(x.view(), three));
      });
    }
  ThreadPool pool(1);
  EXPECT_EQ(sum_of_squares(Matrix(0, 4).view(), pool), 0.0);
}

TEST(AllFinite, FindsOneBadElementAnywhere) {
  ThreadPool pool(2);
  std::mt19937 random(7);
  const float infinity = std::numeric_limits<float>::infinity();
  for (const int width : widths) {
    const Matrix good(30, width, random);
    test::on_every_instruction_set([&] {
      Matrix x = good;
      EXPECT_TRUE(all_finite(x.view(), pool));
      for (const float bad : {infinity, -infinity, std::nanf("")})
        for (const std::int64_t row : {0, 29}) {
          x = good;
          x.set(row, width - 1, static_cast<double>(bad));
          EXPECT_FALSE(all_finite(x.view(), pool));
        }
    });
  }
  EXPECT_TRUE(all_finite(Matrix(0, 4).view(), pool));
}

TEST(Dropout, KeepsWhatTheHashOfTheElementSays) {
  ThreadPool pool(2);
  std::mt19937 random(8);
  const std::uint64_t key = 0x123456789abcdef0u;
  for (const float rate : {0.0f, 0.1f, 0.5f, 1.0f})
    for (const int width : widths)
      for (const std::int64_t gap : {0, 3}) {  // dense or not, the same elements are kept
        Matrix x(40, width, random, DType::float32, gap);
        const Matrix before(40, width, random, DType::float32, gap);
        test::on_every_instruction_set([&] {
          for (const bool accumulate : {false, true}) {
            Matrix y = before;
            dropout(x.view(), rate, key, y.view(), accumulate, pool);
            for (std::int64_t i = 0; i < 40; ++i)
              for (std::int64_t j = 0; j < width; ++j) {
                const std::uint32_t bits = hash32(RandomKey{key}, static_cast<std::uint32_t>(i * width + j));
                const bool kept = static_cast<double>(bits) >= static_cast<double>(rate) * 0x1p32;
                const double start = accumulate ? before.at(i, j) : 0.0;
                const double expected = start + (kept ? x.at(i, j) / (1.0 - static_cast<double>(rate)) : 0.0);
                ASSERT_TRUE(test::close(y.at(i, j), expected, std::fabs(start) + std::fabs(expected - start), 4.0))
                    << "row " << i << ", column " << j << ", rate " << rate;
              }
          }
        });
      }
}

TEST(Dropout, DropsItsShareAndMayBeInPlace) {
  ThreadPool pool(2);
  Matrix x(200, 1000), y(200, 1000);
  for (std::int64_t i = 0; i < 200; ++i)
    for (std::int64_t j = 0; j < 1000; ++j) x.set(i, j, 1.0);
  dropout(x.view(), 0.1f, 99, y.view(), false, pool);
  dropout(x.view(), 0.1f, 99, x.view(), false, pool);
  EXPECT_TRUE(x.same_bits(y));
  double dropped = 0.0;
  for (std::int64_t i = 0; i < 200; ++i)
    for (std::int64_t j = 0; j < 1000; ++j) dropped += y.at(i, j) == 0.0 ? 1.0 : 0.0;
  // Five standard deviations of the binomial.
  EXPECT_NEAR(dropped, 20000.0, 5.0 * std::sqrt(200000.0 * 0.1 * 0.9));
}

}  // namespace
}  // namespace heed::kernels
