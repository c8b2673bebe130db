#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

#include "kernels/rows.h"
#include "support/instruction_sets.h"
#include "support/matrix.h"

namespace heed::kernels {
namespace {

using test::Matrix;

std::vector<std::int32_t> random_ids(std::int64_t count, int rows, std::mt19937& random) {
  std::uniform_int_distribution<std::int32_t> uniform(0, rows - 1);
  std::vector<std::int32_t> ids;
  for (std::int64_t i = 0; i < count; ++i) ids.push_back(uniform(random));
  return ids;
}

TEST(Gather, TakesScaledRows) {
  ThreadPool pool(2);
  std::mt19937 random(1);
  for (const int width : {1, 3, 17, 64, 65, 1000})
    for (const DType dtype : {DType::float32, DType::bfloat16, DType::float16}) {
      Matrix table(9, width, random, dtype), y(31, width);
      const auto ids = random_ids(31, 9, random);
      test::on_every_instruction_set([&] {
        gather(table.view(), ids.data(), 31, 1.5f, y.view(), pool);
        test::expect_matrix(
            y, [&](std::int64_t i, std::int64_t j) { return 1.5 * table.at(ids[static_cast<std::size_t>(i)], j); },
            [&](std::int64_t i, std::int64_t j) { return std::fabs(y.at(i, j)); }, 1.0);
      });
    }
}

TEST(ScatterAdd, IsTheGradientOfGather) {
  ThreadPool pool(2);
  std::mt19937 random(2);
  for (const int width : {1, 3, 17, 64, 65, 1000})
    for (const std::int64_t count : {0, 1, 50}) {
      Matrix dy(count, width, random);
      const Matrix before(9, width, random);
      const auto ids = random_ids(count, 9, random);
      std::vector<double> sums(static_cast<std::size_t>(9 * width)), sizes(static_cast<std::size_t>(9 * width));
      for (std::int64_t i = 0; i < count; ++i)
        for (std::int64_t j = 0; j < width; ++j) {
          const auto at = static_cast<std::size_t>(ids[static_cast<std::size_t>(i)] * width + j);
          sums[at] += 1.5 * dy.at(i, j);
          sizes[at] += 1.5 * std::fabs(dy.at(i, j));
        }
      test::on_every_instruction_set([&] {
        Matrix table = before;
        scatter_add(dy.view(), ids.data(), count, 1.5f, table.view(), pool);
        test::expect_matrix(
            table,
            [&](std::int64_t i, std::int64_t j) {
              return before.at(i, j) + sums[static_cast<std::size_t>(i * width + j)];
            },
            [&](std::int64_t i, std::int64_t j) {
              return std::fabs(before.at(i, j)) + sizes[static_cast<std::size_t>(i * width + j)];
            },
            8.0);
      });
    }
}

TEST(ScatterAdd, GivesTheSameBitsForAnyNumberOfThreads) {
  std::mt19937 random(3);
  Matrix dy(700, 300, random);
  const auto ids = random_ids(700, 5, random);  // many equal: the order of additions shows
  Matrix tables[] = {Matrix(5, 300), Matrix(5, 300), Matrix(5, 300)};
  for (int threads = 1; threads <= 3; ++threads) {
    ThreadPool pool(threads);
    scatter_add(dy.view(), ids.data(), 700, 0.3f, tables[threads - 1].view(), pool);
  }
  EXPECT_TRUE(tables[0].same_bits(tables[1]));
  EXPECT_TRUE(tables[0].same_bits(tables[2]));
}

}  // namespace
}  // namespace heed::kernels
