#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "kernels/rows.h"
#include "support/differences.h"
#include "support/instruction_sets.h"
#include "support/matrix.h"

namespace heed::kernels {
namespace {

using test::Matrix;

constexpr double infinity = std::numeric_limits<double>::infinity();

std::vector<double> log_softmax(std::vector<double> x) {
  const double largest = *std::max_element(x.begin(), x.end());
  double sum = 0.0;
  for (const double element : x) sum += std::exp(element - largest);
  for (double& element : x) element -= largest + std::log(sum);
  return x;
}

/// Cross-entropy against (1 − smoothing)·onehot + smoothing/width.
double smoothed_loss(const std::vector<double>& x, std::int32_t target, double smoothing) {
  const std::vector<double> logs = log_softmax(x);
  double loss = -(1.0 - smoothing) * logs[static_cast<std::size_t>(target)];
  for (const double log : logs) loss -= smoothing / static_cast<double>(x.size()) * log;
  return loss;
}

struct Losses {
  explicit Losses(std::int64_t rows) : loss(fill(rows)), likelihood(fill(rows)), correct(fill(rows)) {}
  static std::vector<float> fill(std::int64_t rows) {
    return std::vector<float>(static_cast<std::size_t>(rows), -7.0f);
  }
  std::vector<float> loss, likelihood, correct;
};

void run(Matrix& logits, const std::vector<std::int32_t>& targets, float smoothing, View gradient, Losses& losses,
         ThreadPool& pool) {
  softmax_cross_entropy(logits.view(), targets.data(), smoothing, gradient, losses.loss.data(),
                        losses.likelihood.data(), losses.correct.data(), pool);
}

std::vector<std::int32_t> some_targets(std::int64_t rows, std::int64_t width) {
  std::vector<std::int32_t> targets;
  for (std::int64_t i = 0; i < rows; ++i) targets.push_back(static_cast<std::int32_t>((i * 7919) % width));
  return targets;
}

TEST(SoftmaxCrossEntropy, EqualsTheFormulaInDouble) {
  ThreadPool pool(2);
  std::mt19937 random(1);
  for (const int width : {1, 3, 17, 64, 65, 1000, 50257})
    for (const float smoothing : {0.0f, 0.1f})
      for (const DType dtype : {DType::float32, DType::bfloat16}) {
        const std::int64_t rows = width > 10000 ? 2 : 5;
        Matrix logits(rows, width, random), gradient(rows, width, dtype);
        for (std::int64_t i = 0; i < rows; ++i)  // a range as a trained model has it, and rows far from 0
          for (std::int64_t j = 0; j < width; ++j)
            logits.set(i, j, 4.0 * logits.at(i, j) + static_cast<double>(20 * i - 30));
        const auto targets = some_targets(rows, width);
        const auto smooth = static_cast<double>(smoothing);
        test::on_every_instruction_set([&] {
          Losses losses(rows);
          run(logits, targets, smoothing, gradient.view(), losses, pool);
          std::vector<std::vector<double>> logs;
          for (std::int64_t i = 0; i < rows; ++i) {
            const auto row = static_cast<std::size_t>(i);
            logs.push_back(log_softmax(logits.row(i)));
            const auto& of_row = logs.back();
            const double size = 100.0 + std::fabs(of_row[static_cast<std::size_t>(targets[row])]);
            test::expect_close(static_cast<double>(losses.loss[row]),
                               smoothed_loss(logits.row(i), targets[row], smooth), size, 1.0);
            test::expect_close(static_cast<double>(losses.likelihood[row]),
                               -of_row[static_cast<std::size_t>(targets[row])], size, 1.0);
            const auto best = std::max_element(of_row.begin(), of_row.end()) - of_row.begin();
            EXPECT_EQ(losses.correct[row], best == targets[row] ? 1.0f : 0.0f);
          }
          test::expect_matrix(
              gradient,
              [&](std::int64_t i, std::int64_t j) {
                const double chance = std::exp(logs[static_cast<std::size_t>(i)][static_cast<std::size_t>(j)]);
                return chance - smooth / width - (j == targets[static_cast<std::size_t>(i)] ? 1.0 - smooth : 0.0);
              },
              [&](std::int64_t i, std::int64_t j) {
                // exp turns the rounding of x − maximum into a relative error; the sum of a block adds some roundings.
                const double log = logs[static_cast<std::size_t>(i)][static_cast<std::size_t>(j)];
                const bool is_target = j == targets[static_cast<std::size_t>(i)];
                return std::exp(log) * (1.0 + std::fabs(log)) + smooth / width + (is_target ? 1.0 : 0.0);
              },
              12.0);
        });
      }
}

TEST(SoftmaxCrossEntropy, GradientEqualsDifferencesOfTheLoss) {
  ThreadPool pool(1);
  std::mt19937 random(2);
  Matrix logits(3, 37, random);
  const std::vector<std::int32_t> targets = {0, 36, 11};
  for (const float smoothing : {0.0f, 0.2f}) {
    std::vector<std::vector<double>> expected;
    for (std::int64_t i = 0; i < 3; ++i)
      expected.push_back(test::differences(logits.row(i), [&](const std::vector<double>& x) {
        return smoothed_loss(x, targets[static_cast<std::size_t>(i)], static_cast<double>(smoothing));
      }));
    test::on_every_instruction_set([&] {
      Matrix gradient = logits;  // in place
      Losses losses(3);
      run(gradient, targets, smoothing, gradient.view(), losses, pool);
      test::expect_matrix(
          gradient,
          [&](std::int64_t i, std::int64_t j) {
            return expected[static_cast<std::size_t>(i)][static_cast<std::size_t>(j)];
          },
          [&](std::int64_t, std::int64_t) { return 1.0; }, 4.0);
    });
  }
}

TEST(SoftmaxCrossEntropy, IgnoredRowsGiveZeros) {
  ThreadPool pool(1);
  std::mt19937 random(3);
  test::on_every_instruction_set([&] {
    Matrix logits(2, 19, random);
    logits.set(1, 4, std::nan(""));
    Losses losses(2);
    run(logits, {3, -1}, 0.1f, logits.view(), losses, pool);
    EXPECT_GT(losses.loss[0], 0.0f);
    EXPECT_EQ(losses.loss[1], 0.0f);
    EXPECT_EQ(losses.likelihood[1], 0.0f);
    EXPECT_EQ(losses.correct[1], 0.0f);
    for (const double d : logits.row(1)) EXPECT_EQ(d, 0.0);
  });
}

TEST(SoftmaxCrossEntropy, WithoutGradientOnlyLossesAreMade) {
  ThreadPool pool(1);
  std::mt19937 random(4);
  Matrix logits(3, 40, random), gradient(3, 40);
  const Matrix before = logits;
  Losses with(3), without(3);
  run(logits, {1, 2, 3}, 0.1f, gradient.view(), with, pool);
  run(logits, {1, 2, 3}, 0.1f, View{}, without, pool);
  EXPECT_EQ(with.loss, without.loss);
  EXPECT_EQ(with.correct, without.correct);
  EXPECT_TRUE(logits.same_bits(before));
}

TEST(SoftmaxCrossEntropy, FirstOfEqualLogitsIsTheAnswer) {
  ThreadPool pool(1);
  Matrix logits(3, 50);
  for (std::int64_t i = 0; i < 3; ++i) logits.set(i, 20, 5.0), logits.set(i, 40, 5.0);
  test::on_every_instruction_set([&] {
    Losses losses(3);
    run(logits, {20, 40, 0}, 0.0f, View{}, losses, pool);
    EXPECT_EQ(losses.correct, (std::vector<float>{1.0f, 0.0f, 0.0f}));
  });
}

TEST(SoftmaxCrossEntropy, WhatIsNotFiniteShowsInTheLoss) {
  ThreadPool pool(1);
  std::mt19937 random(5);
  test::on_every_instruction_set([&] {
    for (const double bad : {std::nan(""), infinity})
      for (const std::int64_t at : {0, 33, 1999}) {
        Matrix logits(1, 2000, random);
        logits.set(0, at, bad);
        Losses losses(1);
        run(logits, {7}, 0.0f, View{}, losses, pool);
        EXPECT_FALSE(std::isfinite(losses.loss[0])) << bad << " at " << at;
      }
  });
}

TEST(SoftmaxCrossEntropy, LogitsOfMinusInfinityAreLeftOut) {
  ThreadPool pool(1);
  std::mt19937 random(6);
  const Matrix before(1, 2100, random);
  Matrix narrow(1, 100), wide(1, 2100);
  for (std::int64_t j = 0; j < 2100; ++j) wide.set(0, j, j < 2000 ? -infinity : before.at(0, j));
  for (std::int64_t j = 0; j < 100; ++j) narrow.set(0, j, before.at(0, 2000 + j));
  test::on_every_instruction_set([&] {
    Losses of_narrow(1), of_wide(1);
    run(narrow, {5}, 0.0f, View{}, of_narrow, pool);
    Matrix gradient(1, 2100);
    run(wide, {2005}, 0.0f, gradient.view(), of_wide, pool);
    test::expect_close(static_cast<double>(of_wide.loss[0]), static_cast<double>(of_narrow.loss[0]), 5.0, 1.0);
    EXPECT_EQ(gradient.at(0, 17), 0.0);
  });
}

TEST(SoftmaxRows, EqualsTheFormulaInDouble) {
  ThreadPool pool(2);
  std::mt19937 random(7);
  for (const int width : {1, 3, 17, 64, 65, 1000, 5000})
    for (const bool logarithm : {false, true}) {
      const Matrix before(4, width, random);
      test::on_every_instruction_set([&] {
        Matrix x = before;
        softmax_rows(x.view(), logarithm, pool);
        std::vector<std::vector<double>> logs;
        for (std::int64_t i = 0; i < 4; ++i) logs.push_back(log_softmax(before.row(i)));
        const auto log = [&](std::int64_t i, std::int64_t j) {
          return logs[static_cast<std::size_t>(i)][static_cast<std::size_t>(j)];
        };
        test::expect_matrix(
            x, [&](std::int64_t i, std::int64_t j) { return logarithm ? log(i, j) : std::exp(log(i, j)); },
            [&](std::int64_t i, std::int64_t j) {
              return logarithm ? 8.0 + std::fabs(log(i, j)) : std::exp(log(i, j)) * (1.0 + std::fabs(log(i, j)));
            },
            6.0);
      });
    }
}

TEST(SoftmaxRows, NoRowsAreNoWork) {
  ThreadPool pool(2);
  softmax_rows(Matrix(0, 5).view(), false, pool);
}

}  // namespace
}  // namespace heed::kernels
