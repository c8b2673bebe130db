#include <gtest/gtest.h>
#include <heed/causal_convolution.h>
#include <heed/random.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "support/differences.h"
#include "support/instruction_sets.h"

namespace heed {

namespace {

using Numbers = std::vector<double>;

struct Choice {
  std::int64_t channels = 5, width = 4;
  std::vector<std::int64_t> lengths = {7, 0, 2};
  bool bias = true, silu = true, states = true;
};

Tensor draw(Shape shape, RandomKey key) {
  Tensor tensor(shape);
  for (std::int64_t i = 0; i < tensor.elements(); ++i) tensor.floats()[i] = normal(key, static_cast<std::uint64_t>(i));
  return tensor;
}

Numbers in_double(const Tensor& tensor) { return {tensor.floats(), tensor.floats() + tensor.elements()}; }

struct Sample {
  Choice choice;
  CausalConvolution problem;
  Tensor input, weight, bias, initial_states, final_states, output, doutput, dfinal_states;

  explicit Sample(const Choice& of, std::uint64_t seed = 1) : choice(of) {
    std::int64_t rows = 0;
    for (const std::int64_t length : of.lengths) rows += length;
    const RandomKey random{seed};
    const Shape states = {static_cast<std::int64_t>(of.lengths.size()), of.width - 1, of.channels};
    input = draw({rows, of.channels}, random.fold(0));
    weight = draw({of.channels, of.width}, random.fold(1));
    bias = draw({of.channels}, random.fold(2));
    initial_states = of.states ? draw(states, random.fold(3)) : Tensor(states);
    final_states = Tensor(states);
    output = Tensor(input.shape());
    doutput = draw(input.shape(), random.fold(4));
    dfinal_states = of.states ? draw(states, random.fold(5)) : Tensor(states);
    problem.channels = of.channels;
    problem.width = of.width;
    problem.input = input.view();
    problem.weight = weight.floats();
    problem.bias = of.bias ? bias.floats() : nullptr;
    problem.silu = of.silu;
    const std::int64_t size = (of.width - 1) * of.channels;
    std::int64_t begin = 0;
    for (std::size_t i = 0; i < of.lengths.size(); begin += of.lengths[i++])
      problem.sequences.push_back(
          {.begin = begin,
           .count = of.lengths[i],
           .initial_state = of.states ? initial_states.floats() + static_cast<std::int64_t>(i) * size : nullptr,
           .final_state = final_states.floats() + static_cast<std::int64_t>(i) * size});
  }
};

struct Inputs {
  Numbers input, weight, bias, initial_states;
};
Inputs inputs_of(const Sample& sample) {
  return {in_double(sample.input), in_double(sample.weight),
          sample.choice.bias ? in_double(sample.bias) : Numbers(static_cast<std::size_t>(sample.choice.channels)),
          in_double(sample.initial_states)};
}

struct Result {
  Numbers output, final_states;
};
/// The definition.
Result reference(const Sample& sample, const Inputs& in) {
  const auto channels = static_cast<std::size_t>(sample.choice.channels),
             width = static_cast<std::size_t>(sample.choice.width);
  Result result{Numbers(in.input.size()), Numbers(in.initial_states.size())};
  for (std::size_t s = 0; s < sample.problem.sequences.size(); ++s)
    for (std::size_t c = 0; c < channels; ++c) {
      const auto begin = static_cast<std::size_t>(sample.problem.sequences[s].begin);
      const auto count = static_cast<std::size_t>(sample.problem.sequences[s].count);
      Numbers whole;
      for (std::size_t i = 0; i + 1 < width; ++i)
        whole.push_back(in.initial_states[(s * (width - 1) + i) * channels + c]);
      for (std::size_t t = 0; t < count; ++t) whole.push_back(in.input[(begin + t) * channels + c]);
      for (std::size_t t = 0; t < count; ++t) {
        double sum = in.bias[c];
        for (std::size_t j = 0; j < width; ++j) sum += in.weight[c * width + j] * whole[t + j];
        result.output[(begin + t) * channels + c] = sample.choice.silu ? sum / (1.0 + std::exp(-sum)) : sum;
      }
      for (std::size_t i = 0; i + 1 < width; ++i)
        result.final_states[(s * (width - 1) + i) * channels + c] = whole[count + i];
    }
  return result;
}

/// Sums of `width` products and the activation: some roundings of the largest element.
void expect_close(const Tensor& actual, const Numbers& expected, double roundings, const char* what) {
  ASSERT_EQ(actual.elements(), static_cast<std::int64_t>(expected.size())) << what;
  double size = 1.0;
  for (const double x : expected) size = std::max(size, std::fabs(x));
  for (std::size_t i = 0; i < expected.size(); ++i)
    ASSERT_NEAR(actual.floats()[i], expected[i], roundings * 0x1p-24 * size) << what << " at " << i;
}

std::vector<Choice> choices() {
  std::vector<Choice> all;
  for (const bool silu : {false, true})
    for (const bool states : {false, true})
      for (const auto& [channels, width] : {std::pair{1, 4}, {5, 1}, {16, 2}, {33, 4}, {70, 9}})
        all.push_back({channels, width, {7, 0, 2, 1, 12}, silu != states, silu, states});
  return all;
}

struct Gradients {
  Tensor input, weight, bias, initial_states;
  CausalConvolutionGradients to;

  explicit Gradients(const Sample& sample)
      : input(sample.input.shape()),
        weight(sample.weight.shape()),
        bias(sample.bias.shape()),
        initial_states(sample.initial_states.shape()) {
    input.fill(std::nanf(""));
    initial_states.fill(std::nanf(""));
    to = {.input = input.view(), .weight = weight.floats(), .bias = bias.floats(), .states = {}};
    const std::int64_t size = (sample.choice.width - 1) * sample.choice.channels;
    for (std::int64_t i = 0; i < static_cast<std::int64_t>(sample.problem.sequences.size()); ++i)
      to.states.push_back({sample.dfinal_states.floats() + i * size, initial_states.floats() + i * size});
  }
};

TEST(CausalConvolution, EqualsItsDefinition) {
  ThreadPool pool(2);
  for (const Choice& choice : choices()) {
    const Sample sample(choice);
    const Result expected = reference(sample, inputs_of(sample));
    test::on_every_instruction_set([&] {
      causal_convolution_forward(sample.problem, sample.output.view(), pool);
      expect_close(sample.output, expected.output, 32.0, "output");
      expect_close(sample.final_states, expected.final_states, 0.0, "final states");
    });
  }
}

TEST(CausalConvolution, GradientsEqualFiniteDifferences) {
  ThreadPool pool(2);
  for (const Choice& choice : choices()) {
    if (choice.channels > 16) continue;
    const Sample sample(choice);
    const Inputs in = inputs_of(sample);
    const auto gradient = [&](Numbers Inputs::*member) {
      Inputs moved = in;
      return test::differences(in.*member, [&](const Numbers& x) {
        moved.*member = x;
        const Result result = reference(sample, moved);
        double loss = 0.0;
        for (std::size_t i = 0; i < result.output.size(); ++i) loss += result.output[i] * sample.doutput.floats()[i];
        for (std::size_t i = 0; i < result.final_states.size(); ++i)
          loss += result.final_states[i] * sample.dfinal_states.floats()[i];
        return loss;
      });
    };
    const Inputs expected = {gradient(&Inputs::input), gradient(&Inputs::weight), gradient(&Inputs::bias),
                             gradient(&Inputs::initial_states)};
    test::on_every_instruction_set([&] {
      const Gradients gradients(sample);
      causal_convolution_backward(sample.problem, sample.doutput.view(), gradients.to, pool);
      expect_close(gradients.input, expected.input, 64.0, "input");
      expect_close(gradients.weight, expected.weight, 64.0, "weight");
      expect_close(gradients.bias, expected.bias, 64.0, "bias");
      expect_close(gradients.initial_states, expected.initial_states, 64.0, "initial states");
    });
  }
}

TEST(CausalConvolution, ReadingInPartsEqualsReadingWhole) {
  ThreadPool pool(1);
  const Choice choice{.channels = 20, .width = 4, .lengths = {30}};
  Sample whole(choice), parts(choice);
  causal_convolution_forward(whole.problem, whole.output.view(), pool);
  std::copy_n(parts.initial_states.floats(), parts.initial_states.elements(), parts.final_states.floats());
  // One row, two rows, three …, the state moved on where it lies.
  for (std::int64_t begin = 0, count = 1; begin < 30; begin += count++) {
    parts.problem.sequences = {
        {begin, std::min(count, 30 - begin), parts.final_states.floats(), parts.final_states.floats()}};
    causal_convolution_forward(parts.problem, parts.output.view(), pool);
  }
  EXPECT_EQ(in_double(parts.output), in_double(whole.output));
  EXPECT_EQ(in_double(parts.final_states), in_double(whole.final_states));
}

TEST(CausalConvolution, LongSequencesGiveTheSameBitsForAnyNumberOfThreads) {
  const Choice choice{.channels = 600, .width = 3, .lengths = {300, 250}};
  const Sample sample(choice);
  const auto run = [&](int threads) {
    ThreadPool pool(threads);
    const Gradients gradients(sample);
    causal_convolution_forward(sample.problem, sample.output.view(), pool);
    causal_convolution_backward(sample.problem, sample.doutput.view(), gradients.to, pool);
    std::vector<Numbers> all;
    for (const Tensor* tensor :
         {&sample.output, &gradients.input, &gradients.weight, &gradients.bias, &gradients.initial_states})
      all.push_back(in_double(*tensor));
    return all;
  };
  EXPECT_EQ(run(1), run(3));
}

TEST(CausalConvolution, AddsGradientsOfWhatIsLearnedAndWritesTheOthers) {
  ThreadPool pool(1);
  const Sample sample(Choice{});
  const Gradients once(sample), twice(sample);
  causal_convolution_backward(sample.problem, sample.doutput.view(), once.to, pool);
  for (int i = 0; i < 2; ++i) causal_convolution_backward(sample.problem, sample.doutput.view(), twice.to, pool);
  EXPECT_EQ(in_double(once.input), in_double(twice.input));
  for (std::int64_t i = 0; i < once.weight.elements(); ++i)
    EXPECT_EQ(twice.weight.floats()[i], 2.0f * once.weight.floats()[i]);
}

TEST(CausalConvolution, NamesWhatDoesNotFit) {
  const auto expect_error = [](const std::string& text, auto&& change) {
    Sample sample(Choice{});
    change(sample.problem);
    ThreadPool pool(1);
    try {
      causal_convolution_forward(sample.problem, sample.output.view(), pool);
      ADD_FAILURE() << "no error: " << text;
    } catch (const Error& error) {
      EXPECT_EQ(std::string(error.what()), text);
    }
  };
  expect_error("causal convolution: 5 channels and a kernel of width 0; both must be 1 or more",
               [](CausalConvolution& problem) { problem.width = 0; });
  expect_error("causal convolution: input is [9, 4] with rows 5 apart; expected [9, 5]",
               [](CausalConvolution& problem) { problem.input.width = 4; });
  expect_error("causal convolution: sequence 1 has 2 rows from row -3", [](CausalConvolution& problem) {
    problem.sequences[1].begin = -3;
    problem.sequences[1].count = 2;
  });
}

}  // namespace

}  // namespace heed
