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

/// The formula, one head after another, in double.
std::vector<double> rotated(std::vector<double> x, double position, const Rotary& rotary) {
  for (int head = 0; head < rotary.heads; ++head)
    for (int i = 0; i < rotary.rotated / 2; ++i) {
      const double angle = static_cast<double>(rotary.direction) * position *
                           std::pow(static_cast<double>(rotary.base), -2.0 * i / rotary.rotated);
      const int first = head * rotary.head_width + (rotary.interleaved ? 2 * i : i);
      const int second = rotary.interleaved ? first + 1 : first + rotary.rotated / 2;
      double& a = x[static_cast<std::size_t>(first)];
      double& b = x[static_cast<std::size_t>(second)];
      const double turned = a * std::cos(angle) - b * std::sin(angle);
      b = b * std::cos(angle) + a * std::sin(angle);
      a = turned;
    }
  return x;
}

const std::vector<std::int32_t> positions = {0, 1, 2, 5, 77, 1023, 4096, 131071, 1000000, 2000000000};

std::vector<Rotary> shapes() {
  std::vector<Rotary> all;
  for (const bool interleaved : {false, true})
    for (const auto& [heads, width, turned] :
         {std::tuple{1, 2, 2}, {3, 6, 6}, {2, 33, 18}, {2, 64, 64}, {3, 80, 20}, {1, 9, 0}})
      all.push_back({heads, width, turned, 10000.0f, interleaved, 1.0f});
  return all;
}

TEST(Rotate, EqualsTheFormulaInDouble) {
  ThreadPool pool(2);
  std::mt19937 random(1);
  for (Rotary rotary : shapes())
    for (const float direction : {1.0f, -1.0f}) {
      rotary.direction = direction;
      Matrix x(static_cast<std::int64_t>(positions.size()), rotary.heads * rotary.head_width, random),
          y(x.rows(), x.width());
      std::vector<std::vector<double>> expected;
      for (std::int64_t i = 0; i < x.rows(); ++i)
        expected.push_back(rotated(x.row(i), positions[static_cast<std::size_t>(i)], rotary));
      test::on_every_instruction_set([&] {
        rotate(x.view(), positions.data(), rotary, y.view(), pool);
        test::expect_matrix(
            y,
            [&](std::int64_t i, std::int64_t j) {
              return expected[static_cast<std::size_t>(i)][static_cast<std::size_t>(j)];
            },
            // An angle of 2·10⁹ is itself rounded in double: 2·10⁹ · 2⁻⁵³, or 4 roundings of float32.
            [&](std::int64_t, std::int64_t) { return 5.0; }, 4.0);
        Matrix in_place = x;
        rotate(in_place.view(), positions.data(), rotary, in_place.view(), pool);
        EXPECT_TRUE(in_place.same_bits(y));
      });
    }
}

TEST(Rotate, BackwardTurnsBack) {
  // A rotation's transpose is its inverse: turning there and back is the identity, and ⟨R x, dy⟩ = ⟨x, Rᵀ dy⟩.
  ThreadPool pool(2);
  std::mt19937 random(2);
  for (const Rotary& rotary : shapes()) {
    Matrix x(static_cast<std::int64_t>(positions.size()), rotary.heads * rotary.head_width, random),
        y(x.rows(), x.width());
    Rotary back = rotary;
    back.direction = -1.0f;
    test::on_every_instruction_set([&] {
      rotate(x.view(), positions.data(), rotary, y.view(), pool);
      rotate(y.view(), positions.data(), back, y.view(), pool);
      test::expect_matrix(
          y, [&](std::int64_t i, std::int64_t j) { return x.at(i, j); },
          [&](std::int64_t, std::int64_t) { return 5.0; }, 4.0);
    });
  }
}

TEST(RotateBy, TurnsByTheAnglesOfEachRowsPosition) {
  ThreadPool pool(2);
  std::mt19937 random(3);
  const std::vector<std::int32_t> rows = {3, 0, 3, 1};
  for (Rotary rotary : shapes())
    for (const float direction : {1.0f, -1.0f}) {
      rotary.direction = direction;
      const std::int64_t pairs = rotary.rotated / 2;
      // Any numbers do, cosines and sines or not.
      Matrix cosines(4, pairs, random), sines(4, pairs, random);
      Matrix x(static_cast<std::int64_t>(rows.size()), rotary.heads * rotary.head_width, random),
          y(x.rows(), x.width());
      test::on_every_instruction_set([&] {
        rotate_by(x.view(), rows.data(), cosines.view(), sines.view(), rotary, y.view(), pool);
        const auto expected = [&](std::int64_t i, std::int64_t j) {
          const std::int64_t head = j / rotary.head_width * rotary.head_width, at = j - head;
          if (at >= rotary.rotated) return x.at(i, j);
          const bool second = rotary.interleaved ? at % 2 == 1 : at >= pairs;
          const std::int64_t pair = rotary.interleaved ? at / 2 : at % pairs;
          const std::int64_t other = rotary.interleaved ? j + (second ? -1 : 1) : j + (second ? -pairs : pairs);
          const std::int64_t row = rows[static_cast<std::size_t>(i)];
          const double sine = static_cast<double>(direction) * sines.at(row, pair);
          return x.at(i, j) * cosines.at(row, pair) + (second ? 1.0 : -1.0) * x.at(i, other) * sine;
        };
        test::expect_matrix(
            y, expected, [&](std::int64_t, std::int64_t) { return 20.0; }, 4.0);
        Matrix in_place = x;
        rotate_by(in_place.view(), rows.data(), cosines.view(), sines.view(), rotary, in_place.view(), pool);
        EXPECT_TRUE(in_place.same_bits(y));
      });
    }
}

TEST(Rotate, NoRowsAreNoWork) {
  ThreadPool pool(2);
  Matrix x(0, 8);
  rotate(x.view(), nullptr, {.heads = 1, .head_width = 8, .rotated = 8}, x.view(), pool);
}

}  // namespace
}  // namespace heed::kernels
