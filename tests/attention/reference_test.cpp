#include "attention/reference.h"

#include <gtest/gtest.h>
#include <heed/attention.h>

#include "attention/sample.h"

namespace heed::attention {

namespace {

double loss(const Sample& sample, const std::vector<double>& doutput) {
  const std::vector<double> output = reference::forward(sample.problem).output;
  double sum = 0.0;
  for (std::size_t i = 0; i < output.size(); ++i) sum += output[i] * doutput[i];
  return sum;
}

/// The loss is differentiable in double, but inputs are float32: the step is what really was added to the element.
void expect_central_differences(const Sample& sample, const Tensor& input, const std::vector<double>& gradient,
                                const char* name) {
  const std::vector<double> doutput = sample.doutput_in_double();
  for (std::int64_t i = 0; i < input.elements(); ++i) {
    float& element = input.floats()[i];
    const float at = element;
    element = at + 1e-3f;
    const double above = element, loss_above = loss(sample, doutput);
    element = at - 1e-3f;
    const double below = element, loss_below = loss(sample, doutput);
    element = at;
    EXPECT_NEAR(gradient[static_cast<std::size_t>(i)], (loss_above - loss_below) / (above - below), 2e-5)
        << name << " " << i;
  }
}

void expect_gradients(const Choice& choice) {
  SCOPED_TRACE(choice.text());
  const Sample sample(choice, 3);
  const reference::Gradients gradients = reference::backward(sample.problem, sample.doutput_in_double());
  expect_central_differences(sample, sample.query, gradients.query, "query");
  expect_central_differences(sample, sample.key, gradients.key, "key");
  expect_central_differences(sample, sample.value, gradients.value, "value");
  if (sample.relative) expect_central_differences(sample, sample.relative, gradients.relative, "relative");
}

Choice small() {
  Choice choice;
  choice.head_width = 3;
  choice.value_width = 2;
  choice.lengths = {{4, 5}, {2, 3}};
  return choice;
}

TEST(AttentionReference, GradientsEqualCentralDifferences) { expect_gradients(small()); }

TEST(AttentionReference, GradientsEqualCentralDifferencesWithEveryOption) {
  Choice choice = small();
  choice.spec.mask = causal(1) & (window(3) | first_keys(1));
  choice.spec.scale = 0.7f;
  choice.spec.soft_cap = 1.5f;
  choice.spec.dropout = 0.3f;
  choice.slopes = true;
  choice.reach = 2;
  expect_gradients(choice);
}

TEST(AttentionReference, ComputesTheWorkedExample) {
  const Tensor keys = Tensor::from({1, 0, 0, 0, 1, 0, 0, 0, 1, 1, 1, 0, 0, 1, 1}).reshaped({1, 1, 5, 3});
  const Tensor query = Tensor::from({1, 0, -1}).reshaped({1, 1, 1, 3});
  AttentionProblem problem;
  problem.spec.scale = 1.0f;
  problem.head_width = problem.value_width = 3;
  problem.query = query.view();
  problem.key_stride = problem.value_stride = 3;
  AttentionSequence sequence;
  sequence.query_count = 1;
  sequence.query_position = 4;
  sequence.key_count = 5;
  sequence.spans = {{keys.data(), keys.data(), 5}};
  problem.sequences = {sequence};
  const Tensor weights = attention_weights(problem, 0, 0);
  const float expected_weights[] = {0.3790f, 0.1394f, 0.0513f, 0.3790f, 0.0513f};
  for (int i = 0; i < 5; ++i) EXPECT_NEAR(weights.floats()[i], expected_weights[i], 5e-5f);
  ThreadPool pool(1);
  const Tensor output = attend(query, keys, keys, problem.spec, pool);
  const float expected[] = {0.7580f, 0.5697f, 0.1026f};
  for (int i = 0; i < 3; ++i) EXPECT_NEAR(output.floats()[i], expected[i], 5e-5f);
}

}  // namespace

}  // namespace heed::attention
