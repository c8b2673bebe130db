#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "kernels/rows.h"
#include "support/differences.h"
#include "support/instruction_sets.h"
#include "support/matrix.h"

namespace heed::kernels {
namespace {

using test::Matrix;

constexpr float epsilon = 1e-5f;

/// Both norms and the gradients of Σ dy·y, as the formulas say, in double.
struct Reference {
  bool centred;
  std::vector<double> gain, bias;

  std::vector<double> row(const std::vector<double>& x) const {
    const auto width = static_cast<double>(x.size());
    double mean = 0.0, square = 0.0;
    if (centred)
      for (const double element : x) mean += element / width;
    for (const double element : x) square += (element - mean) * (element - mean) / width;
    std::vector<double> y;
    for (std::size_t j = 0; j < x.size(); ++j)
      y.push_back(gain[j] * (x[j] - mean) / std::sqrt(square + static_cast<double>(epsilon)) +
                  (centred ? bias[j] : 0.0));
    return y;
  }
};

struct Norm {
  Norm(bool is_centred, std::int64_t rows, std::int64_t width, DType dtype = DType::float32)
      : centred(is_centred),
        x(rows, width, random),
        gain(1, width, random),
        bias(1, width, random),
        dy(rows, width, random),
        y(rows, width, dtype),
        mean(static_cast<std::size_t>(rows)),
        inverse(static_cast<std::size_t>(rows)),
        dx(rows, width, random),
        dgain(1, width, random),
        dbias(1, width, random) {
    for (std::int64_t i = 0; i < rows; ++i)  // away from 0, so that centring has something to do
      for (std::int64_t j = 0; j < width; ++j) x.set(i, j, 0.5 * x.at(i, j) + 3.0);
  }
  void forward(ThreadPool& pool) {
    if (centred)
      layer_norm(x.view(), gain.floats(), bias.floats(), epsilon, y.view(), mean.data(), inverse.data(), pool);
    else
      rms_norm(x.view(), gain.floats(), epsilon, y.view(), inverse.data(), pool);
  }
  void backward(bool accumulate, ThreadPool& pool) {
    const NormGradients to{dx.view(), accumulate, dgain.floats(), accumulate, dbias.floats(), accumulate};
    if (centred)
      layer_norm_backward(x.view(), gain.floats(), mean.data(), inverse.data(), dy.view(), to, pool);
    else
      rms_norm_backward(x.view(), gain.floats(), inverse.data(), dy.view(),
                        {dx.view(), accumulate, dgain.floats(), accumulate}, pool);
  }
  Reference reference() const { return {centred, gain.row(0), bias.row(0)}; }

  std::mt19937 random{7};
  bool centred;
  Matrix x, gain, bias, dy, y;
  std::vector<float> mean, inverse;
  Matrix dx, dgain, dbias;
};

class NormTest : public testing::TestWithParam<bool> {};
INSTANTIATE_TEST_SUITE_P(, NormTest, testing::Bool(),
                         [](const auto& centred) { return centred.param ? "LayerNorm" : "RmsNorm"; });

TEST_P(NormTest, EqualsTheFormulaInDouble) {
  ThreadPool pool(2);
  for (const DType dtype : {DType::float32, DType::bfloat16})
    for (const int width : {1, 3, 17, 64, 65, 1000}) {
      Norm norm(GetParam(), 5, width, dtype);
      test::on_every_instruction_set([&] {
        SCOPED_TRACE(width);
        norm.forward(pool);
        std::vector<std::vector<double>> expected;
        for (std::int64_t i = 0; i < 5; ++i) expected.push_back(norm.reference().row(norm.x.row(i)));
        // Centring subtracts a mean of 3 rounded in float32: its error is multiplied by the inverse deviation.
        const auto scale = [&](std::int64_t i, std::int64_t j) {
          return std::fabs(norm.gain.at(0, j)) *
                     (10.0 + 10.0 * static_cast<double>(norm.inverse[static_cast<std::size_t>(i)])) +
                 std::fabs(norm.bias.at(0, j));
        };
        test::expect_matrix(
            norm.y,
            [&](std::int64_t i, std::int64_t j) {
              return expected[static_cast<std::size_t>(i)][static_cast<std::size_t>(j)];
            },
            scale, 4.0);
      });
    }
}

TEST_P(NormTest, GradientsEqualDifferencesOfTheFormula) {
  ThreadPool pool(2);
  for (const int width : {3, 17, 64, 65, 257}) {
    Norm norm(GetParam(), 3, width);
    const Reference reference = norm.reference();
    const auto size = static_cast<std::size_t>(width);
    std::vector<double> dgain(size), dbias(size), gain_scale(size), bias_scale(size);
    std::vector<std::vector<double>> dx;
    for (std::int64_t i = 0; i < 3; ++i) {
      const std::vector<double> dy = norm.dy.row(i), x = norm.x.row(i);
      const auto loss = [&](const Reference& by, const std::vector<double>& at) {
        const std::vector<double> y = by.row(at);
        double sum = 0.0;
        for (std::size_t j = 0; j < y.size(); ++j) sum += dy[j] * y[j];
        return sum;
      };
      dx.push_back(test::differences(x, [&](const std::vector<double>& at) { return loss(reference, at); }));
      const auto of_gain = test::differences(reference.gain, [&](const std::vector<double>& gain) {
        return loss({reference.centred, gain, reference.bias}, x);
      });
      const auto of_bias = test::differences(reference.bias, [&](const std::vector<double>& bias) {
        return loss({reference.centred, reference.gain, bias}, x);
      });
      for (std::size_t j = 0; j < size; ++j) {
        dgain[j] += of_gain[j];
        dbias[j] += of_bias[j];
        gain_scale[j] += std::fabs(of_gain[j]) + 10.0 * std::fabs(dy[j]);
        bias_scale[j] += std::fabs(of_bias[j]);
      }
    }
    const Matrix dx_before = norm.dx, dgain_before = norm.dgain, dbias_before = norm.dbias;
    test::on_every_instruction_set([&] {
      for (const bool accumulate : {false, true}) {
        SCOPED_TRACE(testing::Message() << "width " << width << " accumulate " << accumulate);
        norm.dx = dx_before, norm.dgain = dgain_before, norm.dbias = dbias_before;
        norm.forward(pool);
        norm.backward(accumulate, pool);
        const auto before = [&](const Matrix& m, std::int64_t i, std::int64_t j) {
          return accumulate ? m.at(i, j) : 0.0;
        };
        const double largest_inverse =
            1.0 + static_cast<double>(*std::max_element(norm.inverse.begin(), norm.inverse.end()));
        test::expect_matrix(
            norm.dx,
            [&](std::int64_t i, std::int64_t j) {
              return dx[static_cast<std::size_t>(i)][static_cast<std::size_t>(j)] + before(dx_before, i, j);
            },
            [&](std::int64_t, std::int64_t) { return 30.0 * largest_inverse * largest_inverse; }, 4.0);
        test::expect_matrix(
            norm.dgain,
            [&](std::int64_t, std::int64_t j) {
              return dgain[static_cast<std::size_t>(j)] + before(dgain_before, 0, j);
            },
            [&](std::int64_t, std::int64_t j) {
              return (gain_scale[static_cast<std::size_t>(j)] + 1.0) * largest_inverse;
            },
            8.0);
        if (norm.centred)
          test::expect_matrix(
              norm.dbias,
              [&](std::int64_t, std::int64_t j) {
                return dbias[static_cast<std::size_t>(j)] + before(dbias_before, 0, j);
              },
              [&](std::int64_t, std::int64_t j) { return bias_scale[static_cast<std::size_t>(j)] + 1.0; }, 4.0);
      }
    });
  }
}

TEST_P(NormTest, GivesTheSameBitsForAnyNumberOfThreads) {
  ThreadPool one(1);
  Norm expected(GetParam(), 700, 130);
  expected.forward(one);
  expected.backward(true, one);
  for (const int threads : {2, 3}) {
    ThreadPool pool(threads);
    Norm norm(GetParam(), 700, 130);
    norm.forward(pool);
    norm.backward(true, pool);
    EXPECT_TRUE(norm.y.same_bits(expected.y));
    EXPECT_TRUE(norm.dx.same_bits(expected.dx));
    EXPECT_TRUE(norm.dgain.same_bits(expected.dgain));
    EXPECT_TRUE(norm.dbias.same_bits(expected.dbias));
  }
}

TEST_P(NormTest, GradientsNobodyAskedForAreLeftOut) {
  ThreadPool pool(1);
  Norm norm(GetParam(), 6, 33), whole(GetParam(), 6, 33);
  norm.forward(pool);
  whole.forward(pool);
  whole.backward(false, pool);
  NormGradients to;
  to.x = norm.dx.view();
  NormGradients gain_only;
  gain_only.gain = norm.dgain.floats();
  if (GetParam()) {
    layer_norm_backward(norm.x.view(), norm.gain.floats(), norm.mean.data(), norm.inverse.data(), norm.dy.view(), to,
                        pool);
    layer_norm_backward(norm.x.view(), norm.gain.floats(), norm.mean.data(), norm.inverse.data(), norm.dy.view(),
                        gain_only, pool);
  } else {
    rms_norm_backward(norm.x.view(), norm.gain.floats(), norm.inverse.data(), norm.dy.view(), to, pool);
    rms_norm_backward(norm.x.view(), norm.gain.floats(), norm.inverse.data(), norm.dy.view(), gain_only, pool);
  }
  EXPECT_TRUE(norm.dx.same_bits(whole.dx));
  EXPECT_TRUE(norm.dgain.same_bits(whole.dgain));
}

TEST_P(NormTest, NoRowsGiveNoOutputAndGradientsOfZero) {
  ThreadPool pool(2);
  Norm norm(GetParam(), 0, 9);
  norm.forward(pool);
  norm.backward(false, pool);
  for (const double d : norm.dgain.row(0)) EXPECT_EQ(d, 0.0);
}

TEST_P(NormTest, RowOfZerosStaysFinite) {
  ThreadPool pool(1);
  Norm norm(GetParam(), 1, 20);
  for (std::int64_t j = 0; j < 20; ++j) norm.x.set(0, j, 0.0);
  norm.forward(pool);
  norm.backward(false, pool);
  for (std::int64_t j = 0; j < 20; ++j) {
    EXPECT_EQ(norm.y.at(0, j), GetParam() ? norm.bias.at(0, j) : 0.0);
    EXPECT_TRUE(std::isfinite(norm.dx.at(0, j)));
  }
}

TEST(LayerNorm, BiasMayBeLeftOut) {
  ThreadPool pool(1);
  Norm with(true, 4, 21), without(true, 4, 21);
  with.bias = Matrix(1, 21);
  with.forward(pool);
  layer_norm(without.x.view(), without.gain.floats(), nullptr, epsilon, without.y.view(), without.mean.data(),
             without.inverse.data(), pool);
  EXPECT_TRUE(with.y.same_bits(without.y));
}

}  // namespace
}  // namespace heed::kernels
