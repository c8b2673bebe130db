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

constexpr std::int64_t counts[] = {0, 1, 3, 17, 64, 65, 1000, 40000};

double number(float value) { return static_cast<double>(value); }

TEST(Adam, EqualsTheFormulaInDouble) {
  ThreadPool pool(2);
  std::mt19937 random(1);
  const Adam options{.rate = 0.01f,
                     .decay = 0.1f,
                     .coupled_decay = 0.02f,
                     .gradient_scale = 0.5f,
                     .correction1 = 0.19f,
                     .correction2 = 0.002f};
  for (const std::int64_t count : counts) {
    const Matrix weight(1, count, random), gradient(1, count, random), first(1, count, random);
    Matrix second(1, count, random);
    for (std::int64_t j = 0; j < count; ++j) second.set(0, j, std::fabs(second.at(0, j)));
    test::on_every_instruction_set([&] {
      Matrix w = weight, g = gradient, m = first, v = second;
      adam(w.floats(), g.floats(), m.floats(), v.floats(), count, options, pool);
      const auto slope = [&](std::int64_t j) {
        return number(options.gradient_scale) * gradient.at(0, j) + number(options.coupled_decay) * weight.at(0, j);
      };
      const auto momentum = [&](std::int64_t j) {
        return options.beta1 * first.at(0, j) + (1.0 - options.beta1) * slope(j);
      };
      const auto variance = [&](std::int64_t j) {
        return options.beta2 * second.at(0, j) + (1.0 - options.beta2) * slope(j) * slope(j);
      };
      const auto sizes = [&](std::int64_t, std::int64_t j) {
        return std::fabs(first.at(0, j)) + std::fabs(gradient.at(0, j)) + std::fabs(weight.at(0, j));
      };
      test::expect_matrix(
          m, [&](std::int64_t, std::int64_t j) { return momentum(j); }, sizes, 4.0);
      test::expect_matrix(
          v, [&](std::int64_t, std::int64_t j) { return variance(j); },
          [&](std::int64_t, std::int64_t j) { return variance(j); }, 8.0);
      const auto step = [&](std::int64_t j) {
        return number(options.rate) / number(options.correction1) /
               (std::sqrt(variance(j) / number(options.correction2)) + number(options.epsilon));
      };
      test::expect_matrix(
          w,
          [&](std::int64_t, std::int64_t j) {
            return weight.at(0, j) * (1.0 - number(options.rate) * number(options.decay)) - step(j) * momentum(j);
          },
          [&](std::int64_t i, std::int64_t j) { return std::fabs(weight.at(0, j)) + step(j) * sizes(i, j); }, 8.0);
    });
  }
}

TEST(Adam, GivesTheSameBitsForAnyNumberOfThreads) {
  std::mt19937 random(2);
  const Matrix weight(1, 50001, random), gradient(1, 50001, random);
  std::vector<Matrix> results;
  for (int threads = 1; threads <= 3; ++threads) {
    ThreadPool pool(threads);
    Matrix w = weight, g = gradient, m(1, 50001), v(1, 50001);
    adam(w.floats(), g.floats(), m.floats(), v.floats(), 50001, {}, pool);
    results.push_back(w);
  }
  EXPECT_TRUE(results[0].same_bits(results[1]));
  EXPECT_TRUE(results[0].same_bits(results[2]));
}

TEST(Sgd, EqualsTheFormulaInDouble) {
  ThreadPool pool(2);
  std::mt19937 random(3);
  const float rate = 0.1f, decay = 0.02f, scale = 0.5f;
  for (const std::int64_t count : counts)
    for (const float momentum : {0.0f, 0.9f}) {
      const Matrix weight(1, count, random), gradient(1, count, random), velocity(1, count, random);
      test::on_every_instruction_set([&] {
        Matrix w = weight, g = gradient, v = velocity;
        sgd(w.floats(), g.floats(), momentum == 0.0f ? nullptr : v.floats(), count, rate, momentum, decay, scale, pool);
        const auto moved = [&](std::int64_t, std::int64_t j) {
          return number(momentum) * velocity.at(0, j) + number(scale) * gradient.at(0, j) +
                 number(decay) * weight.at(0, j);
        };
        const auto sizes = [&](std::int64_t, std::int64_t j) {
          return std::fabs(velocity.at(0, j)) + std::fabs(gradient.at(0, j)) + std::fabs(weight.at(0, j));
        };
        if (momentum == 0.0f)
          EXPECT_TRUE(v.same_bits(velocity));
        else
          test::expect_matrix(v, moved, sizes, 4.0);
        test::expect_matrix(
            w, [&](std::int64_t i, std::int64_t j) { return weight.at(0, j) - number(rate) * moved(i, j); }, sizes,
            4.0);
      });
    }
}

}  // namespace
}  // namespace heed::kernels
