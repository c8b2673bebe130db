#include "attention/reference.h"

#include <gtest/gtest.h>
#include <heed/attention.h>

#include <numeric>

#include "attention/reference_normalisers.h"
#include "attention/sample.h"

namespace heed::attention {

namespace {

constexpr Score all_scores[] = {Score::scaled_dot, Score::dot,       Score::bilinear,
                                Score::cosine,     Score::euclidean, Score::additive};
constexpr Normaliser all_normalisers[] = {Normaliser::softmax, Normaliser::softmax_zero, Normaliser::softmax_sink,
                                          Normaliser::sigmoid, Normaliser::sparsemax,    Normaliser::entmax15};

double sum_of_products(const std::vector<double>& a, const std::vector<double>& b) {
  return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
}

/// The inputs are multiples of the step's 16th and below 2^7, so that one step up and one down are exact in float32 and
/// the differences are those of a function of doubles, off by step² times the third derivative and rounding / step.
void expect_central_differences(const Sample& sample, const Tensor& input, std::vector<double> gradient,
                                const std::string& name) {
  constexpr float step = 0x1p-15f;
  ASSERT_LE(gradient.size(), input ? static_cast<std::size_t>(input.elements()) : 0) << name;
  if (!input) return;
  gradient.resize(static_cast<std::size_t>(input.elements()));  // a bias may go on beyond what is used of it
  const std::vector<double> doutput = sample.doutput_in_double();
  const auto loss = [&] { return sum_of_products(reference::forward(sample.problem).output, doutput); };
  double norm = 1.0;
  for (const double derivative : gradient) norm = std::max(norm, std::abs(derivative));
  for (std::int64_t i = 0; i < input.elements(); ++i) {
    float& element = input.floats()[i];
    const float at = element;
    element = at + step;
    const double above = loss();
    element = at - step;
    const double below = loss();
    element = at;
    EXPECT_NEAR(gradient[static_cast<std::size_t>(i)], (above - below) / (2.0 * step), 1e-7 * norm) << name << " " << i;
  }
}

void expect_gradients(const Choice& choice, std::uint64_t seed = 3) {
  SCOPED_TRACE(choice.text());
  const Sample sample(choice, seed);
  std::vector<std::pair<std::string, Tensor>> inputs = {{"query", sample.query},
                                                        {"key", sample.key},
                                                        {"value", sample.value},
                                                        {"bilinear", sample.bilinear},
                                                        {"direction", sample.direction},
                                                        {"sinks", sample.sinks},
                                                        {"slopes", sample.slopes},
                                                        {"relative", sample.relative},
                                                        {"bias", sample.bias}};
  for (const Tensor& parameter : sample.problem.parameters) inputs.emplace_back("parameter", parameter);
  for (const auto& [name, input] : inputs)
    for (std::int64_t i = 0; input && i < input.elements(); ++i)
      input.floats()[i] = std::round(input.floats()[i] * 0x1p10f) * 0x1p-10f;
  const reference::Gradients gradients = reference::backward(sample.problem, sample.doutput_in_double());
  std::vector<std::vector<double>> all = {gradients.query,    gradients.key,       gradients.value,
                                          gradients.bilinear, gradients.direction, gradients.sinks,
                                          gradients.slopes,   gradients.relative,  gradients.bias};
  all.insert(all.end(), gradients.parameters.begin(), gradients.parameters.end());
  for (std::size_t i = 0; i < inputs.size(); ++i)
    expect_central_differences(sample, inputs[i].second, all[i], inputs[i].first);
}

Choice small(Score score, Normaliser normaliser) {
  Choice choice;
  choice.spec.score = score;
  choice.spec.normaliser = normaliser;
  choice.head_width = 3;
  choice.value_width = 2;
  if (score == Score::bilinear) choice.key_width = 4;
  choice.lengths = {{3, 4}, {2, 3}};
  return choice;
}

TEST(AttentionReference, GradientsEqualCentralDifferencesForEveryScoreAndNormaliser) {
  for (const Score score : all_scores)
    for (const Normaliser normaliser : all_normalisers) expect_gradients(small(score, normaliser));
}

TEST(AttentionReference, GradientsEqualCentralDifferencesWithEveryOption) {
  for (const Score score : all_scores)
    for (const Normaliser normaliser : all_normalisers) {
      Choice choice = small(score, normaliser);
      choice.spec.mask = causal(1) & (window(3) | first_keys(1));
      choice.spec.scale = 0.7f;
      choice.spec.soft_cap = 1.5f;
      choice.spec.dropout = 0.3f;
      choice.spec.rule = heed::score("bent", [](auto s, const auto& at) noexcept {
        const Parameter slope(0), table(1);
        return slope(at.head) * s + tanh(s * table(at.query, at.key)) - 0.1f * abs(at.query - at.key) + at.batch;
      });
      choice.parameters = {{2}, {2, 3}};
      choice.slopes = true;
      choice.reach = 2;
      choice.bias = 0b1111;
      expect_gradients(choice);
    }
}

TEST(AttentionReference, GradientsOfABiasEqualCentralDifferencesHoweverItBroadcasts) {
  for (int bias = 0; bias < 16; ++bias) {
    Choice choice = small(Score::scaled_dot, Normaliser::softmax);
    choice.bias = bias;
    choice.heads = 1;
    expect_gradients(choice);
  }
}

std::vector<double> weights_of(Normaliser normaliser, const std::vector<double>& scores,
                               double sink = -std::numeric_limits<double>::infinity()) {
  return reference::normalise(normaliser, scores, sink).weights;
}

void expect_near(const std::vector<double>& actual, const std::vector<double>& expected) {
  ASSERT_EQ(actual.size(), expected.size());
  for (std::size_t i = 0; i < actual.size(); ++i) EXPECT_NEAR(actual[i], expected[i], 1e-14) << i;
}

TEST(AttentionReference, NormalisersGiveWhatIsKnownOfSmallCases) {
  const double e = std::exp(1.0);
  expect_near(weights_of(Normaliser::softmax, {1.0, 0.0}), {e / (e + 1.0), 1.0 / (e + 1.0)});
  expect_near(weights_of(Normaliser::softmax_zero, {1.0, 0.0}, 0.0), {e / (e + 2.0), 1.0 / (e + 2.0)});
  expect_near(weights_of(Normaliser::softmax_sink, {1.0, 0.0}, 1.0), {e / (2.0 * e + 1.0), 1.0 / (2.0 * e + 1.0)});
  expect_near(weights_of(Normaliser::sigmoid, {1.0, 0.0}), {e / (e + 1.0), 0.5});
  expect_near(weights_of(Normaliser::sparsemax, {1.0, 0.6, -1.0}), {0.7, 0.3, 0.0});
  expect_near(weights_of(Normaliser::sparsemax, {3.0, 1.0}), {1.0, 0.0});
  expect_near(weights_of(Normaliser::sparsemax, {2.0, 2.0, 2.0, 2.0}), {0.25, 0.25, 0.25, 0.25});
  // Two keys whose scores are 1 apart: τ solves (1/2 − τ)² + τ² = 1.
  const double threshold = (0.5 - std::sqrt(1.75)) / 2.0;
  expect_near(weights_of(Normaliser::entmax15, {1.0, 0.0}),
              {(0.5 - threshold) * (0.5 - threshold), threshold * threshold});
  expect_near(weights_of(Normaliser::entmax15, {0.0, 2.0}), {0.0, 1.0});
  expect_near(weights_of(Normaliser::entmax15, {2.0, 2.0, 2.0, 2.0}), {0.25, 0.25, 0.25, 0.25});
  const double infinity = std::numeric_limits<double>::infinity();
  for (const Normaliser normaliser : all_normalisers) {
    const std::vector<double> weights = weights_of(normaliser, {1.0, -infinity, 0.5});
    const std::vector<double> without = weights_of(normaliser, {1.0, 0.5});
    expect_near(weights, {without[0], 0.0, without[1]});
  }
}

TEST(AttentionReference, SparseWeightsSumToOneAndFollowFromTheThreshold) {
  // A threshold with which the weights sum to 1 is the only one, so this says that the solution is exact.
  for (const Normaliser normaliser : {Normaliser::sparsemax, Normaliser::entmax15})
    for (std::uint64_t seed = 0; seed < 200; ++seed) {
      std::vector<double> scores;
      const auto keys = static_cast<std::size_t>(uniform_index(RandomKey{seed}, 0, 60) + 1);
      const double size = std::exp(4.0 * uniform(RandomKey{seed}, 1) - 2.0);
      for (std::size_t j = 0; j < keys; ++j) scores.push_back(100.0 + size * normal(RandomKey{seed}, j + 1));
      const reference::Normalised result = reference::normalise(normaliser, scores, 0.0);
      EXPECT_NEAR(std::accumulate(result.weights.begin(), result.weights.end(), 0.0), 1.0, 1e-12);
      for (std::size_t j = 0; j < keys; ++j) {
        const double score = normaliser == Normaliser::sparsemax ? scores[j] : scores[j] / 2.0;
        const double above = std::max(0.0, score - result.log_sum_exp);
        EXPECT_EQ(result.weights[j], normaliser == Normaliser::sparsemax ? above : above * above);
      }
    }
}

TEST(AttentionReference, WeightsAreThoseOfTheStoredLogSumExp) {
  for (const Normaliser normaliser : all_normalisers) {
    Choice choice = small(Score::dot, normaliser);
    choice.spec.mask = causal();
    const Sample sample(choice, 1);
    const reference::Result result = reference::forward(sample.problem);
    const std::vector<double> weights = reference::weights(sample.problem, 0, 1),
                              scores = reference::scores(sample.problem, 0, 1);
    for (std::size_t i = 0; i < weights.size(); ++i) {
      const double lse = result.log_sum_exp[5 + i / 4], above = std::max(0.0, scores[i] / 2.0 - lse);
      const double expected = normaliser == Normaliser::sigmoid     ? 1.0 / (1.0 + std::exp(-scores[i]))
                              : normaliser == Normaliser::sparsemax ? std::max(0.0, scores[i] - lse)
                              : normaliser == Normaliser::entmax15  ? above * above
                                                                    : std::exp(scores[i] - lse);
      EXPECT_NEAR(weights[i], expected, 1e-14);
    }
  }
}

TEST(AttentionReference, AQueryThatSeesNoKeyGivesZerosOrItsSink) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  const auto expected = [](Normaliser normaliser, const Sample& sample, int head) -> double {
    switch (normaliser) {
      case Normaliser::softmax_sink:
        return sample.sinks.floats()[head];
      case Normaliser::softmax:
        return -infinity;
      case Normaliser::sparsemax:
      case Normaliser::entmax15:
        return infinity;
      default:
        return 0.0;
    }
  };
  for (const Normaliser normaliser : all_normalisers)
    for (const bool by_bias : {false, true}) {
      Choice choice = small(Score::scaled_dot, normaliser);
      choice.lengths = {{3, 4}, {2, 0}};
      if (!by_bias) choice.spec.mask = !Mask();
      choice.bias = 0;
      const Sample sample(choice, 1);
      if (by_bias) sample.bias.floats()[0] = -std::numeric_limits<float>::infinity();
      const reference::Result result = reference::forward(sample.problem);
      for (const double value : result.output) EXPECT_EQ(value, 0.0);
      for (std::size_t i = 0; i < result.log_sum_exp.size(); ++i)
        EXPECT_EQ(result.log_sum_exp[i], expected(normaliser, sample, static_cast<int>(i / 5))) << name_of(normaliser);
      const reference::Gradients gradients = reference::backward(sample.problem, sample.doutput_in_double());
      for (const auto& part : {gradients.query, gradients.key, gradients.value, gradients.sinks, gradients.bias})
        for (const double value : part) EXPECT_EQ(value, 0.0);
    }
}

TEST(AttentionReference, ForbiddenKeysTakeNoPartWhateverTheyHold) {
  Choice choice = small(Score::scaled_dot, Normaliser::softmax);
  choice.spec.mask = first_keys(2);
  const Sample sample(choice, 1);
  const std::vector<double> before = reference::forward(sample.problem).output;
  for (const Tensor* tensor : {&sample.key, &sample.value})
    for (const std::int64_t row : {2, 3, 6})
      std::fill_n(tensor->floats() + row * tensor->width(), tensor->width(), std::numeric_limits<float>::quiet_NaN());
  EXPECT_EQ(reference::forward(sample.problem).output, before);
  for (const double value : reference::backward(sample.problem, sample.doutput_in_double()).query)
    EXPECT_FALSE(std::isnan(value));
  sample.value.floats()[0] = std::numeric_limits<float>::infinity();
  EXPECT_EQ(reference::forward(sample.problem).output[0], std::numeric_limits<double>::infinity());
}

TEST(AttentionReference, ReadsQuantisedKeysWithTheirScales) {
  for (const DType dtype : {DType::int8, DType::q4}) {
    Choice choice = small(Score::scaled_dot, Normaliser::softmax);
    choice.key_value_heads = 2;
    choice.head_width = choice.value_width = 4;
    choice.key_value_dtype = dtype;
    choice.span = 3;
    const Sample sample(choice, 1);
    choice.key_value_dtype = DType::float32;
    Sample plain(choice, 1);  // the same numbers, multiplied out
    for (const auto& [from, scale, to] : {std::tuple(sample.key, sample.key_scale, plain.key),
                                          std::tuple(sample.value, sample.value_scale, plain.value)})
      for (std::int64_t i = 0; i < to.elements(); ++i) {
        const std::int8_t byte = from.as<std::int8_t>()[dtype == DType::q4 ? i / 2 : i];
        const int high = byte >> 4, low = static_cast<std::int8_t>(static_cast<std::uint8_t>(byte) << 4) >> 4;
        to.floats()[i] = scale.floats()[i / 4] * static_cast<float>(dtype != DType::q4 ? byte
                                                                    : i % 2 == 0       ? low
                                                                                       : high);
      }
    const std::vector<double> actual = reference::forward(sample.problem).output,
                              expected = reference::forward(plain.problem).output;
    for (std::size_t i = 0; i < expected.size(); ++i) EXPECT_NEAR(actual[i], expected[i], 1e-6 * 8) << i;
  }
}

TEST(AttentionReference, ASharedPrefixIsTheFirstKeysOfItsSequences) {
  Choice choice = small(Score::scaled_dot, Normaliser::softmax);
  choice.lengths = {{3, 4}, {2, 3}, {2, 5}};
  choice.prefix = 2;
  choice.spec.mask = causal();
  const Sample sample(choice, 1);
  AttentionProblem alone = sample.problem;
  for (const std::size_t s : {0, 1}) {  // the third begins with its own keys
    AttentionSequence& sequence = alone.sequences[s];
    sequence.spans.insert(sequence.spans.begin(), alone.prefixes[0].spans[0]);
    sequence.key_count += 2;
  }
  alone.prefixes.clear();
  EXPECT_EQ(reference::forward(sample.problem).output, reference::forward(alone).output);
  EXPECT_EQ(reference::weights(sample.problem, 1, 1), reference::weights(alone, 1, 1));
  EXPECT_EQ(attention_weights(sample.problem, 1, 1).shape(), (Shape{2, 5}));
}

TEST(AttentionReference, ComputesTheWorkedExample) {
  const Tensor keys = Tensor::from({1, 0, 0, 0, 1, 0, 0, 0, 1, 1, 1, 0, 0, 1, 1});
  const Tensor query = Tensor::from({1, 0, -1}), output({1, 3});
  AttentionProblem problem;
  problem.spec.score = Score::dot;
  problem.head_width = problem.value_width = 3;
  problem.query = query.reshaped({1, 3}).view();
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
  attention_forward(problem, output.view(), nullptr, pool);
  const float expected[] = {0.7580f, 0.5697f, 0.1026f};
  for (int i = 0; i < 3; ++i) EXPECT_NEAR(output.floats()[i], expected[i], 5e-5f);
}

}  // namespace

}  // namespace heed::attention
