#include <heed/linear_attention.h>

#include <algorithm>
#include <cstring>
#include <limits>

#include "attention/linear/forms.h"
#include "attention/linear_sample.h"
#include "support/instruction_sets.h"

namespace heed::attention::linear {

namespace {

/// Errors grow with the sums: over the keys' width, over the rows whose sum a state is, and through the correction.
double roundings_of(const Choice& choice) {
  std::int64_t longest = 1;
  for (const std::int64_t length : choice.lengths) longest = std::max(longest, length);
  return 16.0 * (4.0 + std::sqrt(static_cast<double>(choice.key_width)) + std::sqrt(static_cast<double>(longest)));
}

void expect_forward(const Choice& choice, Form form) {
  SCOPED_TRACE(choice.text());
  Sample sample(choice, 1);
  ThreadPool pool(2);
  const reference::Result expected = reference::forward(sample.problem, reference::inputs_of(sample.problem));
  test::on_every_instruction_set([&] {
    sample.output.fill(std::nanf(""));
    forward(sample.problem, sample.output.view(), pool, form);
    expect_close(sample.output, expected.output, roundings_of(choice), "output");
    expect_close(sample.final_states, expected.final_states, roundings_of(choice), "final states");
  });
}

void expect_backward(const Choice& choice, double factor = 4.0) {
  SCOPED_TRACE(choice.text());
  const Sample sample(choice, 2);
  ThreadPool pool(2);
  const reference::Inputs expected =
      reference::backward(sample.problem, reference::inputs_of(sample.problem), Sample::in_double(sample.doutput),
                          Sample::in_double(sample.dfinal_states));
  test::on_every_instruction_set([&] {
    const SampleGradients gradients(sample);
    linear_attention_backward(sample.problem, sample.doutput.view(), gradients.to, pool);
    const double roundings = factor * roundings_of(choice);
    expect_close(gradients.query, expected.query, roundings, "query");
    expect_close(gradients.key, expected.key, roundings, "key");
    expect_close(gradients.value, expected.value, roundings, "value");
    expect_close(gradients.decay, expected.decay, roundings, "decay");
    expect_close(gradients.beta, expected.beta, roundings, "beta");
    expect_close(gradients.initial_states, expected.initial_states, roundings, "initial states");
  });
}

/// Lengths around the sizes of blocks and chunks, odd widths and whole vectors.
std::vector<Choice> shapes() {
  std::vector<Choice> all;
  for (const Choice& choice : choices({.lengths = {1, 0, 15, 17}})) all.push_back(choice);
  for (const Choice& choice : choices({.lengths = {63, 64, 65, 3}})) all.push_back(choice);
  for (const Choice& choice :
       choices({.heads = 3, .key_value_heads = 1, .key_width = 33, .value_width = 65, .lengths = {150}}))
    all.push_back(choice);
  for (const Choice& choice :
       choices({.heads = 2, .key_width = 64, .value_width = 128, .lengths = {80}, .states = false}))
    all.push_back(choice);
  return all;
}

TEST(LinearAttention, RecurrentFormEqualsTheReference) {
  for (const Choice& choice : shapes()) expect_forward(choice, Form::recurrent);
}

TEST(LinearAttention, ChunkedFormEqualsTheReference) {
  for (const Choice& choice : shapes()) expect_forward(choice, Form::chunked);
}

TEST(LinearAttention, GradientsEqualTheReference) {
  for (const Choice& choice : shapes()) expect_backward(choice);
}

TEST(LinearAttention, StrongDecaysNeitherOverflowNorLoseTheRest) {
  for (Choice choice : choices({.key_width = 20, .lengths = {130}, .decay = 40.0f})) {
    expect_forward(choice, Form::chunked);
    expect_backward(choice);
  }
}

TEST(LinearAttention, DecayOfMinusInfinityForgetsTheStateExactly) {
  for (const Form form : {Form::recurrent, Form::chunked})
    for (const Choice& choice : choices({.lengths = {40}})) {
      if (choice.rule == UpdateRule::linear || choice.rule == UpdateRule::delta) continue;
      SCOPED_TRACE(choice.text());
      Sample sample(choice, 3);
      for (std::int64_t i = 0; i < sample.decay.width(); ++i)
        sample.decay.floats()[20 * sample.decay.width() + i] = -std::numeric_limits<float>::infinity();
      ThreadPool pool(1);
      forward(sample.problem, sample.output.view(), pool, form);
      // Rows from 20 on know nothing of what was before.
      Sample rest(choice, 3);
      rest.problem.sequences = {{.begin = 20, .count = 20}};
      forward(rest.problem, rest.output.view(), pool, form);
      const std::int64_t begin = 20 * sample.output.width();
      const reference::Numbers expected(rest.output.floats() + begin, rest.output.floats() + rest.output.elements());
      expect_close(sample.output.slice(20, 40), expected, roundings_of(choice), "output");
    }
}

TEST(LinearAttention, ReadingInPartsEqualsReadingWhole) {
  for (const Choice& choice : choices({.lengths = {100}})) {
    SCOPED_TRACE(choice.text());
    Sample whole(choice, 4);
    ThreadPool pool(2);
    linear_attention_forward(whole.problem, whole.output.view(), pool);
    Sample parts(choice, 4);
    // A prompt in two parts, then one row at a time; the state is moved on where it lies.
    std::copy_n(parts.initial_states.floats(), parts.initial_states.elements(), parts.final_states.floats());
    std::int64_t begin = 0;
    for (std::int64_t count = 37; begin < 100; begin += count, count = begin < 90 ? 90 - begin : 1) {
      parts.problem.sequences = {{begin, count, parts.final_states.floats(), parts.final_states.floats()}};
      linear_attention_forward(parts.problem, parts.output.view(), pool);
    }
    expect_close(parts.output, Sample::in_double(whole.output), 2.0 * roundings_of(choice), "output");
    expect_close(parts.final_states, Sample::in_double(whole.final_states), 2.0 * roundings_of(choice), "states");
  }
}

TEST(LinearAttention, GivesTheSameBitsForAnyNumberOfThreads) {
  for (const Choice& choice : choices({.key_width = 24, .value_width = 20, .lengths = {70, 5, 33}})) {
    SCOPED_TRACE(choice.text());
    Sample first(choice, 5), other(choice, 5);
    SampleGradients first_gradients(first), other_gradients(other);
    const auto run = [](Sample& sample, SampleGradients& gradients, int threads) {
      ThreadPool pool(threads);
      linear_attention_forward(sample.problem, sample.output.view(), pool);
      linear_attention_backward(sample.problem, sample.doutput.view(), gradients.to, pool);
    };
    run(first, first_gradients, 1);
    run(other, other_gradients, 3);
    const auto same = [](const Tensor& a, const Tensor& b) {
      return !a || std::memcmp(a.data(), b.data(), static_cast<std::size_t>(a.bytes())) == 0;
    };
    EXPECT_TRUE(same(first.output, other.output));
    EXPECT_TRUE(same(first.final_states, other.final_states));
    EXPECT_TRUE(same(first_gradients.query, other_gradients.query));
    EXPECT_TRUE(same(first_gradients.key, other_gradients.key));
    EXPECT_TRUE(same(first_gradients.decay, other_gradients.decay));
    EXPECT_TRUE(same(first_gradients.beta, other_gradients.beta));
  }
}

TEST(LinearAttention, GivesOnlyTheGradientsThatAreAskedFor) {
  for (const Choice& choice : choices({.lengths = {70}})) {
    SCOPED_TRACE(choice.text());
    const Sample sample(choice, 6);
    ThreadPool pool(1);
    const SampleGradients all(sample), one(sample);
    linear_attention_backward(sample.problem, sample.doutput.view(), all.to, pool);
    LinearAttentionGradients only_key;
    only_key.key = one.key.view();
    only_key.states = {{sample.dfinal_states.floats(), nullptr}};
    linear_attention_backward(sample.problem, sample.doutput.view(), only_key, pool);
    EXPECT_EQ(std::memcmp(all.key.data(), one.key.data(), static_cast<std::size_t>(all.key.bytes())), 0);
    EXPECT_TRUE(std::isnan(one.query.floats()[0]));
  }
}

TEST(LinearAttention, TakesHalfPrecisionAsItIs) {
  for (const DType dtype : {DType::bfloat16, DType::float16}) {
    const Choice choice{.rule = UpdateRule::gated_delta, .lengths = {20, 3}};
    Sample sample(choice, 7, dtype);
    ThreadPool pool(1);
    const reference::Result expected = reference::forward(sample.problem, reference::inputs_of(sample.problem));
    linear_attention_forward(sample.problem, sample.output.view(), pool);
    expect_close(sample.output, expected.output, roundings_of(choice), "output");
    const Tensor rounded(sample.output.shape(), dtype);
    linear_attention_forward(sample.problem, rounded.view(), pool);
    const Tensor same = sample.output.to(dtype);
    EXPECT_EQ(std::memcmp(rounded.data(), same.data(), static_cast<std::size_t>(same.bytes())), 0);
  }
}

TEST(LinearAttention, NamesWhatDoesNotFit) {
  const auto expect_error = [](const std::string& text, auto&& change, UpdateRule rule = UpdateRule::gated_delta) {
    Sample sample({.rule = rule}, 8);
    change(sample);
    ThreadPool pool(1);
    try {
      linear_attention_forward(sample.problem, sample.output.view(), pool);
      ADD_FAILURE() << "no error: " << text;
    } catch (const Error& error) {
      EXPECT_EQ(std::string(error.what()), text);
    }
  };
  expect_error("linear attention: 4 heads over 3 key-value heads; the second must divide the first",
               [](Sample& sample) { sample.problem.key_value_heads = 3; });
  expect_error("linear attention: key is [10, 9] with rows 10 apart; expected [10, 10]",
               [](Sample& sample) { sample.problem.key.width = 9; });
  expect_error(
      "linear attention: the rule linear takes no decay",
      [](Sample& sample) { sample.problem.decay = sample.key.view(); }, UpdateRule::linear);
  expect_error("linear attention: decay is [0, 0] with rows 0 apart; expected [10, 2]",
               [](Sample& sample) { sample.problem.decay = {}; });
  expect_error("linear attention: beta is [10, 3] with rows 2 apart; expected [10, 2]",
               [](Sample& sample) { sample.problem.beta.width = 3; });
  expect_error("linear attention: sequence 2 has -1 rows from row 7",
               [](Sample& sample) { sample.problem.sequences[2].count = -1; });
  expect_error("linear attention: value is int32; expected float32, bfloat16 or float16",
               [](Sample& sample) { sample.problem.value.dtype = DType::int32; });
  try {
    update_rule_named("quick");
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(),
                 "linear attention: quick is no update rule; expected linear, gated, delta or gated_delta");
  }
}

}  // namespace

}  // namespace heed::attention::linear
