#include <gtest/gtest.h>
#include <heed/attention.h>

#include <cmath>

// The numbers of docs/attention.md: five keys that are also the values, one query, as they are worked out there by
// hand.
namespace heed {

namespace {

struct Example {
  Tensor tokens = Tensor::from({1, 0, 0, 0, 1, 0, 0, 0, 1, 1, 1, 0, 0, 1, 1}).reshaped({5, 3});
  Tensor query = Tensor::from({1, 0, -1}).reshaped({1, 3});
  Tensor output{Shape{1, 3}};
  float log_sum_exp = 0.0f;
  ThreadPool pool{1};

  /// Keys [begin, end).
  AttentionProblem problem(std::int64_t begin = 0, std::int64_t end = 5) const {
    const Tensor keys = tokens.slice(begin, end);
    AttentionProblem problem;
    problem.spec.score = Score::dot;
    problem.head_width = problem.value_width = 3;
    problem.query = query.view();
    problem.key_stride = problem.value_stride = 3;
    problem.sequences.resize(1);
    problem.sequences[0].query_count = 1;
    problem.sequences[0].query_position = end - begin - 1;
    problem.sequences[0].key_count = end - begin;
    problem.sequences[0].spans = {{keys.data(), keys.data(), end - begin}};
    return problem;
  }
  void forward(const AttentionProblem& problem) { attention_forward(problem, output.view(), &log_sum_exp, pool); }
};

/// As printed with four decimals.
void expect_printed(const Tensor& actual, std::initializer_list<double> expected) {
  ASSERT_EQ(actual.elements(), static_cast<std::int64_t>(expected.size()));
  for (const float* value = actual.floats(); const double printed : expected)
    EXPECT_NEAR(*value++, printed, 0.5e-4 + 1e-6);
}

}  // namespace

TEST(WorkedExample, HasTheWeightsAndTheOutputOfTheHand) {
  Example example;
  example.forward(example.problem());
  expect_printed(attention_weights(example.problem(), 0, 0), {0.3790, 0.1394, 0.0513, 0.3790, 0.0513});
  expect_printed(example.output, {0.7580, 0.5697, 0.1026});
  expect_printed(Tensor::from({example.log_sum_exp}), {1.9702});
}

TEST(WorkedExample, IsTheSameTheShortWay) {
  Example example;
  const Tensor keys = example.tokens.reshaped({1, 1, 5, 3});
  const AttentionSpec spec{.score = Score::dot};
  expect_printed(attend(example.query.reshaped({1, 1, 1, 3}), keys, keys, spec, example.pool),
                 {0.7580, 0.5697, 0.1026});
}

TEST(WorkedExample, DividesByTheRootOfTheWidthAndNotByTheWidth) {
  Example example;
  AttentionProblem problem = example.problem();
  problem.spec.score = Score::scaled_dot;
  expect_printed(attention_weights(problem, 0, 0), {0.3133, 0.1759, 0.0987, 0.3133, 0.0987});
  problem.spec.scale = 1.0f / 3.0f;
  expect_printed(attention_weights(problem, 0, 0), {0.2671, 0.1914, 0.1372, 0.2671, 0.1372});
}

TEST(WorkedExample, PartsOfTheKeysMergeByTheirLogSumExp) {
  Example first, second;
  first.forward(first.problem(0, 3));
  second.forward(second.problem(3, 5));
  expect_printed(first.output, {0.6652, 0.2447, 0.0900});
  expect_printed(second.output, {0.8808, 1.0, 0.1192});
  expect_printed(Tensor::from({first.log_sum_exp, second.log_sum_exp}), {1.4076, 1.1269});

  const double both = std::log(std::exp(first.log_sum_exp) + std::exp(second.log_sum_exp));
  const double share = std::exp(first.log_sum_exp - both);
  expect_printed(Tensor::from({static_cast<float>(both), static_cast<float>(share)}), {1.9702, 0.5697});
  for (int i = 0; i < 3; ++i)
    first.output.floats()[i] =
        static_cast<float>(share * first.output.floats()[i] + (1.0 - share) * second.output.floats()[i]);
  expect_printed(first.output, {0.7580, 0.5697, 0.1026});
}

TEST(WorkedExample, HasTheGradientsOfTheHand) {
  Example example;
  const AttentionProblem problem = example.problem();
  example.forward(problem);
  const Tensor doutput = Tensor::from({1, 0, 0}).reshaped({1, 3});
  const Tensor dquery({1, 3}), dkey({5, 3}), dvalue({5, 3});
  AttentionGradients gradients;
  gradients.query = dquery.view();
  gradients.key = dkey.view();
  gradients.value = dvalue.view();
  attention_backward(problem, example.output.view(), &example.log_sum_exp, doutput.view(), gradients, example.pool);
  expect_printed(dquery, {0.1834, -0.0528, -0.0778});
  expect_printed(dkey,
                 {0.0917, 0, -0.0917, -0.1057, 0, 0.1057, -0.0389, 0, 0.0389, 0.0917, 0, -0.0917, -0.0389, 0, 0.0389});
  expect_printed(dvalue, {0.3790, 0, 0, 0.1394, 0, 0, 0.0513, 0, 0, 0.3790, 0, 0, 0.0513, 0, 0});
}

}  // namespace heed
