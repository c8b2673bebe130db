#include <heed/attention.h>

#include "attention/sample.h"

namespace heed::attention {

namespace {

void expect_forward_and_backward(const Choice& choice, std::uint64_t seed, kernels::InstructionSet set,
                                 ThreadPool& pool) {
  SCOPED_TRACE(format("{} (seed {}, {})", choice, seed, kernels::name_of(set)));
  Sample sample(choice, seed);
  sample.output.fill(std::numeric_limits<float>::quiet_NaN());
  sample.forward(pool, set);
  const reference::Result expected = reference::forward(sample.problem);
  expect_close(sample.output, expected.output, epsilons_of(choice), "output");
  expect_close(sample.log_sum_exp, expected.log_sum_exp, epsilons_of(choice), "log-sum-exp");
  if (choice.span != 0) return;  // the backward takes one span
  SampleGradients gradients(sample);
  gradients.backward(sample, pool, set);
  const reference::Gradients back = reference::backward(sample.problem, sample.doutput_in_double());
  expect_close(gradients.query, back.query, 4 * epsilons_of(choice), "query's gradient");
  expect_close(gradients.key, back.key, 4 * epsilons_of(choice), "key's gradient");
  expect_close(gradients.value, back.value, 4 * epsilons_of(choice), "value's gradient");
  if (gradients.relative)
    expect_close(gradients.relative, back.relative, 4 * epsilons_of(choice), "relative's gradient");
}

std::vector<Mask> masks() {
  return {Mask(),
          causal(),
          causal() & window(9),
          causal() & (window(5) | first_keys(2)),
          (!causal()) | first_keys(3),
          window(20),
          mask("checkers", [](int batch, int head, std::int64_t q,
                              std::int64_t k) noexcept { return (batch + head + q + k) % 3 != 0; }),
          causal(-4)};
}

class OnEachInstructionSet : public testing::TestWithParam<kernels::InstructionSet> {};
INSTANTIATE_TEST_SUITE_P(Attention, OnEachInstructionSet, testing::ValuesIn(kernels::available()),
                         [](const auto& test) { return std::string(kernels::name_of(test.param)); });

TEST_P(OnEachInstructionSet, EqualsTheReferenceOverSeveralBlocksOfKeys) {
  ThreadPool pool(2);
  for (const Mask& mask : masks()) {
    Choice choice;
    choice.spec.mask = mask;
    choice.heads = 1;
    choice.lengths = {{150, 450}, {3, 1300}};
    choice.head_width = choice.value_width = 8;
    expect_forward_and_backward(choice, 5, GetParam(), pool);
  }
}

std::vector<float> elements_of(const Tensor& tensor) { return {tensor.floats(), tensor.floats() + tensor.elements()}; }

/// Everything that a forward and backward write, in one row.
std::vector<float> results_of(const Choice& choice, ThreadPool& pool) {
  Sample sample(choice, 11);
  sample.forward(pool);
  SampleGradients gradients(sample);
  gradients.backward(sample, pool);
  std::vector<float> all;
  for (const Tensor* tensor :
       {&sample.output, &sample.log_sum_exp, &gradients.query, &gradients.key, &gradients.value, &gradients.relative})
    if (*tensor) {
      const std::vector<float> part = elements_of(*tensor);
      all.insert(all.end(), part.begin(), part.end());
    }
  return all;
}

Choice long_choice() {
  Choice choice;
  choice.heads = 4;
  choice.key_value_heads = 2;
  choice.head_width = choice.value_width = 32;
  choice.lengths = {{200, 200}, {3, 1500}, {90, 90}, {1, 700}};
  choice.reach = 5;
  choice.spec.dropout = 0.1f;
  return choice;
}

TEST(Attention, GivesTheSameBitsForAnyNumberOfThreads) {
  std::vector<std::vector<float>> results;
  for (const int threads : {1, 2, 3}) {
    ThreadPool pool(threads);
    results.push_back(results_of(long_choice(), pool));
  }
  EXPECT_EQ(results[0], results[1]);
  EXPECT_EQ(results[0], results[2]);
}

TEST(Attention, DropsTheSameWeightsInAnyBlock) {
  ThreadPool pool(1);
  Choice choice;
  choice.spec.dropout = 0.4f;
  choice.lengths = {{100, 100}};
  Sample whole(choice, 1);
  whole.forward(pool);
  Sample alone(choice, 1);  // the first queries alone: another path
  alone.problem.sequences[0].query_count = 2;
  alone.forward(pool);
  for (int i = 0; i < 2 * 32; ++i) EXPECT_NEAR(alone.output.floats()[i], whole.output.floats()[i], 1e-5f);
}

TEST(Attention, ALambdaThatSaysCausalEqualsTheBuiltIn) {
  ThreadPool pool(1);
  Choice choice = long_choice();
  choice.spec.mask = causal();
  const std::vector<float> built_in = results_of(choice, pool);
  choice.spec.mask = mask("my causal", [](int, int, std::int64_t q, std::int64_t k) noexcept { return k <= q; });
  const std::vector<float> lambda = results_of(choice, pool);
  ASSERT_EQ(built_in.size(), lambda.size());
  for (std::size_t i = 0; i < lambda.size(); ++i)
    ASSERT_NEAR(built_in[i], lambda[i], 1e-5f * std::max(1.0f, std::abs(lambda[i])));
}

TEST(Attention, SkippingBlocksChangesNothing) {
  // Keys that no query may see hold infinities: had they been touched, NaN would show.
  ThreadPool pool(1);
  Choice choice;
  choice.heads = choice.key_value_heads = 1;
  choice.lengths = {{64, 1000}};
  choice.spec.mask = causal() & window(100);
  Sample sample(choice, 1);
  sample.forward(pool);
  const std::vector<float> before = elements_of(sample.output);
  std::fill_n(sample.key.floats(), 800 * 16, std::numeric_limits<float>::infinity());
  std::fill_n(sample.value.floats(), 800 * 16, std::numeric_limits<float>::infinity());
  sample.forward(pool);
  EXPECT_EQ(before, elements_of(sample.output));
}

TEST(Attention, AQueryThatSeesNoKeyGivesZeros) {
  ThreadPool pool(1);
  for (const std::int64_t queries : {2, 20}) {  // both paths
    Choice choice;
    choice.lengths = {{queries, 20}, {queries, 0}};
    choice.spec.mask = !Mask();
    Sample sample(choice, 1);
    sample.forward(pool);
    SampleGradients gradients(sample);
    gradients.backward(sample, pool);
    for (const float value : elements_of(sample.output)) EXPECT_EQ(value, 0.0f);
    for (const float value : elements_of(sample.log_sum_exp)) EXPECT_EQ(value, -std::numeric_limits<float>::infinity());
    for (const Tensor* tensor : {&gradients.query, &gradients.key, &gradients.value})
      for (const float value : elements_of(*tensor)) EXPECT_EQ(value, 0.0f);
  }
}

TEST(Attention, AddsToGradientsWhenAsked) {
  ThreadPool pool(1);
  const Choice choice;
  Sample sample(choice, 1);
  sample.forward(pool);
  SampleGradients once(sample), twice(sample);
  once.backward(sample, pool);
  twice.backward(sample, pool);
  twice.to.accumulate_query = twice.to.accumulate_key = twice.to.accumulate_value = true;
  twice.backward(sample, pool);
  for (int i = 0; i < 5 * 32; ++i) EXPECT_NEAR(twice.query.floats()[i], 2 * once.query.floats()[i], 1e-6f);
  for (int i = 0; i < 7 * 16; ++i) EXPECT_NEAR(twice.key.floats()[i], 2 * once.key.floats()[i], 1e-6f);
  for (int i = 0; i < 7 * 16; ++i) EXPECT_NEAR(twice.value.floats()[i], 2 * once.value.floats()[i], 1e-6f);
}

TEST(Attention, WritesBfloat16Output) {
  ThreadPool pool(1);
  for (const std::int64_t queries : {2, 20}) {
    Choice choice;
    choice.value_width = 19;
    choice.lengths = {{queries, 30}};
    Sample sample(choice, 1);
    sample.forward(pool);
    Tensor halves(sample.output.shape(), DType::bfloat16);
    attention_forward(sample.problem, halves.view(), nullptr, pool);
    for (std::int64_t i = 0; i < halves.elements(); ++i)
      EXPECT_EQ(halves.as<bfloat16>()[i].bits, bfloat16(sample.output.floats()[i]).bits);
  }
}

void expect_error(const std::string& expected, const AttentionProblem& problem, const Sample& sample) {
  ThreadPool pool(1);
  try {
    attention_forward(problem, sample.output.view(), nullptr, pool);
    ADD_FAILURE() << "no error; expected " << expected;
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find(expected), std::string::npos) << error.what();
  }
}

TEST(Attention, NamesShapesThatDoNotFit) {
  const Choice choice;
  const Sample sample(choice, 1);
  AttentionProblem problem = sample.problem;
  problem.heads = 3;
  problem.key_value_heads = 2;
  expect_error("3 heads over 2 key-value heads", problem, sample);
  problem = sample.problem;
  problem.heads = 4;
  expect_error("query is [5, 32]; 4 heads of width 16 need a width of 64", problem, sample);
  problem = sample.problem;
  problem.sequences[0].key_count = 9;
  expect_error("sequence 0 has 9 keys, but its spans hold 7", problem, sample);
  problem = sample.problem;
  problem.sequences[0].query_count = 6;
  expect_error("query rows 0 to 6", problem, sample);
  problem = sample.problem;
  problem.spec.dropout = 1.0f;
  expect_error("dropout is 1", problem, sample);
}

}  // namespace

}  // namespace heed::attention
