#include <gtest/gtest.h>

#include "formats/test_files.h"
#include "support/gradients.h"

namespace heed::test {

namespace {

constexpr std::int64_t tokens = 5, places = 6, width = 3, classes = 7, keys = 4;
const std::vector<std::int32_t> source_ids{2, 6, 2, 0, 5, -1}, targets{2, 1, 5, -1, 3};

/// Inputs: hidden, weight, bias, query, key, gate.
Loss loss_of(const Vars& x, float smoothing) {
  return copy_cross_entropy(x[0], x[1], x[2], {.query = x[3], .key = x[4], .gate = x[5], .ids = source_ids}, targets,
                            smoothing);
}

Trial trial() {
  const auto target = sequences_of_lengths({2, 3}), source = sequences_of_lengths({4, 2});
  return {.inputs = {{tokens, width}, {classes, width}, Shape{classes}, {tokens, keys}, {places, keys}, {tokens, 1}},
          .sequences = {target, nullptr, nullptr, target, source, nullptr},
          .starts_from_one = true,
          .steps = 3.0};
}

/// Equation 9 of See et al. 2017, with the smoothing of the vocabulary's part.
template <class T>
Array<T> reference(const std::vector<Array<T>>& x, double smoothing) {
  Array<T> loss(1, 1);
  for (std::int64_t t = 0; t < tokens; ++t) {
    const std::int32_t target = targets[static_cast<std::size_t>(t)];
    if (target < 0) continue;
    T sum = 0.0, mean = 0.0, of_target = 0.0, copied = 0.0, weights = 0.0;
    for (std::int64_t c = 0; c < classes; ++c) {
      T logit = x[2].values[static_cast<std::size_t>(c)];
      for (std::int64_t j = 0; j < width; ++j) logit += x[0](t, j) * x[1](c, j);
      sum += std::exp(logit);
      mean += logit / static_cast<double>(classes);
      if (c == target) of_target = std::exp(logit);
    }
    for (std::int64_t p = t < 2 ? 0 : 4; p < (t < 2 ? 4 : 6); ++p) {
      T score = 0.0;
      for (std::int64_t j = 0; j < keys; ++j) score += x[3](t, j) * x[4](p, j) / std::sqrt(static_cast<double>(keys));
      weights += std::exp(score);
      if (source_ids[static_cast<std::size_t>(p)] == target) copied += std::exp(score);
    }
    const T gate = 1.0 / (1.0 + std::exp(-x[5](t, 0)));
    loss(0, 0) -= (1.0 - smoothing) * std::log(gate * of_target / sum + (1.0 - gate) * copied / weights);
    loss(0, 0) -= smoothing * (mean - std::log(sum));
  }
  return loss;
}

TEST(CopyCrossEntropy, IsOfTheVocabularyMixedWithTheSourcesWords) {
  for (const float smoothing : {0.0f, 0.125f})
    expect_operator(
        trial(), [&](const Vars& x) { return loss_of(x, smoothing).sum; },
        [&](const auto& x) { return reference(x, static_cast<double>(smoothing)); });
}

TEST(CopyCrossEntropy, CountsTheMixturesLikelihoodWithoutSmoothing) {
  Arena arena(1 << 24);
  ThreadPool threads(1);
  Pass pass(arena, threads);
  std::vector<Array<double>> arrays;
  Vars x;
  const Trial drawn = trial();
  for (std::size_t i = 0; i < drawn.inputs.size(); ++i) {
    x.push_back(pass.input(draw(drawn.inputs[i], RandomKey{7}.fold(i)), i < 6 ? drawn.sequences[i] : nullptr));
    arrays.push_back(array_of<double>(x.back().value()));
  }
  const Loss loss = loss_of(x, 0.125f);
  EXPECT_EQ(loss.count, 4);
  EXPECT_NEAR(loss.negative_log_likelihood, reference(arrays, 0.0)(0, 0), 1e-5);
  EXPECT_NEAR(loss.total, reference(arrays, 0.125)(0, 0), 1e-5);
}

TEST(CopyCrossEntropy, NamesWhatDoesNotFit) {
  Arena arena(1 << 24);
  ThreadPool threads(1);
  Pass pass(arena, threads);
  Vars x;
  const Trial drawn = trial();
  for (std::size_t i = 0; i < drawn.inputs.size(); ++i)
    x.push_back(pass.input(Tensor(drawn.inputs[i]), i < 6 ? drawn.sequences[i] : nullptr));
  const std::vector<std::int32_t> few(3, 0);
  const CopySource source{.query = x[3], .key = x[4], .gate = x[5], .ids = few};
  expect_error("key is [6, 4] with 3 ids", [&] { copy_cross_entropy(x[0], x[1], x[2], source, targets); });
  const CopySource whole{.query = x[3], .key = x[4], .gate = x[5], .ids = source_ids};
  expect_error("3 targets for 5 rows", [&] { copy_cross_entropy(x[0], x[1], x[2], whole, few); });
}

}  // namespace

}  // namespace heed::test
