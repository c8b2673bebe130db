#include <gtest/gtest.h>
#include <heed/attention_inspection.h>

#include "attention/compare.h"
#include "attention/look.h"
#include "attention/random_choice.h"

namespace heed::attention {

namespace {

std::vector<double> elements_of(const Tensor& tensor) { return {tensor.floats(), tensor.floats() + tensor.elements()}; }

/// What the reference says of all rows of some heads, [heads, rows, keys].
template <class Reference>
std::vector<double> of_heads(const Sample& sample, std::size_t sequence, const std::vector<int>& heads,
                             Reference reference) {
  std::vector<double> all;
  for (const int head : heads) {
    const std::vector<double> one = reference(sample.problem, sequence, head);
    all.insert(all.end(), one.begin(), one.end());
  }
  return all;
}

std::vector<int> all_heads(const Sample& sample) {
  std::vector<int> heads(static_cast<std::size_t>(sample.problem.heads));
  std::iota(heads.begin(), heads.end(), 0);
  return heads;
}

/// Makes an instruction set the one in use, for as long as it lives.
class Using {
 public:
  explicit Using(kernels::InstructionSet set) : before_(kernels::use(set)) {}
  ~Using() { kernels::use(before_); }

 private:
  kernels::InstructionSet before_;
};

bool has_bfloat16_products(const Choice& choice, kernels::InstructionSet set) {
  return choice.query_dtype == DType::bfloat16 && choice.key_value_dtype == DType::bfloat16 &&
         set == kernels::InstructionSet::avx512_bf16;
}

TEST(AttentionInspection, WeightsAndScoresOfRandomSpecsEqualTheReference) {
  ThreadPool pool(2);
  for (std::uint64_t seed = 0; seed < 25; ++seed) {
    const Choice choice = random_choice(seed);
    const Sample sample(choice, seed);
    const double of_float32 = Tolerances(choice, sample).log_sum_exp;
    const double of_bfloat16 = Tolerances(choice, sample, true).log_sum_exp;
    for (std::size_t sequence = 0; sequence < sample.problem.sequences.size(); ++sequence) {
      const std::vector<int> heads = all_heads(sample);
      const std::vector<double> weights = of_heads(sample, sequence, heads, reference::weights);
      const std::vector<double> scores = of_heads(sample, sequence, heads, reference::scores);
      for (const kernels::InstructionSet set : kernels::available()) {
        const Using used(set);
        const double tolerance = has_bfloat16_products(choice, set) ? of_bfloat16 : of_float32;
        const AttentionLook look{.sequence = sequence};
        EXPECT_EQ(difference("weights", elements_of(attention_weights(sample.problem, look, pool)), weights, tolerance),
                  "")
            << choice.text();
        EXPECT_EQ(difference("scores", elements_of(attention_scores(sample.problem, look, pool)), scores, tolerance),
                  "")
            << choice.text();
      }
    }
  }
}

Choice two_long_sequences(Normaliser normaliser) {
  Choice choice;
  choice.spec.normaliser = normaliser;
  choice.spec.mask = causal() & (window(60) | first_keys(3));
  choice.heads = 4;
  choice.key_value_heads = 2;
  choice.lengths = {{20, 20}, {130, 700}};
  return choice;
}

TEST(AttentionInspection, RowsAndHeadsAreThoseThatAreAskedForInTheirOrder) {
  ThreadPool pool(2);
  const Choice choice = two_long_sequences(Normaliser::softmax);
  const Sample sample(choice, 1);
  const std::int64_t keys = 700;
  const std::vector<int> heads = {3, 1};
  const double tolerance = Tolerances(choice, sample).log_sum_exp;
  const auto expected = [&](const std::vector<std::int64_t>& rows) {
    std::vector<double> all;
    for (const int head : heads) {
      const std::vector<double> whole = reference::weights(sample.problem, 1, head);
      for (const std::int64_t row : rows) all.insert(all.end(), &whole[row * keys], &whole[row * keys] + keys);
    }
    return all;
  };
  const std::vector<std::int64_t> list = {129, 4, 5, 6, 6, 0};
  const Tensor some = attention_weights(sample.problem, {.sequence = 1, .heads = heads, .rows = list}, pool);
  EXPECT_EQ(some.shape(), (Shape{2, 6, 700}));
  EXPECT_EQ(difference("rows of a list", elements_of(some), expected(list), tolerance), "");

  std::vector<std::int64_t> range(60);
  std::iota(range.begin(), range.end(), 70);
  const Tensor last = attention_weights(sample.problem, {.sequence = 1, .heads = heads, .begin = 70}, pool);
  EXPECT_EQ(last.shape(), (Shape{2, 60, 700}));
  EXPECT_EQ(difference("rows to the end", elements_of(last), expected(range), tolerance), "");
  range.resize(2);
  const Tensor two = attention_weights(sample.problem, {.sequence = 1, .heads = heads, .begin = 70, .count = 2}, pool);
  EXPECT_EQ(difference("two rows", elements_of(two), expected(range), tolerance), "");
}

TEST(AttentionInspection, LargestWeightsAreTheFirstOfAllInOrder) {
  ThreadPool pool(2);
  for (const Normaliser normaliser : {Normaliser::softmax, Normaliser::sparsemax}) {
    const Sample sample(two_long_sequences(normaliser), 2);
    const AttentionLook look{.sequence = 1, .heads = {2, 0}, .begin = 1};
    const Tensor weights = attention_weights(sample.problem, look, pool);
    for (const std::int64_t most : {1, 5, 80}) {
      const LargestWeights largest = largest_weights(sample.problem, look, most, pool);
      EXPECT_EQ(largest.weights.shape(), (Shape{2, 129, most}));
      for (std::int64_t row = 0; row < weights.rows(); ++row) {
        const float* const all = weights.floats() + row * weights.width();
        std::vector<std::int32_t> order(static_cast<std::size_t>(weights.width()));
        std::iota(order.begin(), order.end(), 0);
        std::stable_sort(order.begin(), order.end(), [&](std::int32_t a, std::int32_t b) { return all[a] > all[b]; });
        for (std::int64_t i = 0; i < most; ++i) {
          const std::int32_t key = order[static_cast<std::size_t>(i)];
          EXPECT_EQ(largest.weights.floats()[row * most + i], all[key]);
          EXPECT_EQ(largest.positions.as<std::int32_t>()[row * most + i], all[key] > 0.0f ? key : -1);
        }
      }
    }
  }
}

TEST(AttentionInspection, OfEqualWeightsTheLowerPositionsComeFirst) {
  ThreadPool pool(1);
  Choice choice;
  choice.lengths = {{2, 9}};
  const Sample sample(choice, 1, 0.0f);
  const LargestWeights largest = largest_weights(sample.problem, {}, 4, pool);
  for (std::int64_t i = 0; i < largest.positions.elements(); ++i)
    EXPECT_EQ(largest.positions.as<std::int32_t>()[i], i % 4);
}

TEST(AttentionInspection, EntropyAndDistanceAreThoseOfTheReferencesWeights) {
  ThreadPool pool(2);
  for (const Normaliser normaliser : {Normaliser::softmax, Normaliser::softmax_sink, Normaliser::sigmoid,
                                      Normaliser::sparsemax, Normaliser::entmax15}) {
    const Choice choice = two_long_sequences(normaliser);
    const Sample sample(choice, 3);
    const AttentionStatistics actual =
        attention_statistics(sample.problem, {.sequence = 1, .heads = {3, 0}, .begin = 2}, pool, true);
    ASSERT_EQ(actual.row_entropy.shape(), (Shape{2, 128}));
    // Entropy is as steep as ln w: weights are few and at least of this size, or add little.
    const double tolerance = 10.0 * Tolerances(choice, sample).log_sum_exp;
    for (std::size_t i = 0; i < 2; ++i) {
      const std::vector<double> weights = reference::weights(sample.problem, 1, i == 0 ? 3 : 0);
      double entropies = 0.0, distances = 0.0;
      for (std::int64_t row = 2; row < 130; ++row) {
        const double* const w = &weights[static_cast<std::size_t>(row * 700)];
        const double sum = std::accumulate(w, w + 700, 0.0);
        double entropy = 0.0, distance = 0.0;
        for (std::int64_t key = 0; key < 700; ++key) {
          const double p = w[key] / sum;
          if (p > 0.0) entropy -= p * std::log(p);
          distance += p * static_cast<double>(std::abs(570 + row - key));
        }
        const std::int64_t at = static_cast<std::int64_t>(i) * 128 + row - 2;
        EXPECT_NEAR(static_cast<double>(actual.row_entropy.floats()[at]), entropy, tolerance);
        EXPECT_NEAR(static_cast<double>(actual.row_distance.floats()[at]), distance, tolerance * 700.0);
        entropies += entropy;
        distances += distance;
      }
      EXPECT_NEAR(actual.entropy[i], entropies / 128.0, tolerance);
      EXPECT_NEAR(actual.distance[i], distances / 128.0, tolerance * 700.0);
    }
  }
}

TEST(AttentionInspection, RowsThatSeeNothingDoNotCount) {
  ThreadPool pool(1);
  Choice choice;
  choice.lengths = {{4, 4}};
  choice.spec.mask = causal(-2);
  const Sample sample(choice, 1);
  const AttentionStatistics actual = attention_statistics(sample.problem, {}, pool, true);
  const double of_row_3 = static_cast<double>(actual.row_entropy.floats()[3]);
  EXPECT_EQ(actual.row_entropy.floats()[0], 0.0f);
  EXPECT_EQ(actual.row_entropy.floats()[2], 0.0f);  // one key is certain
  EXPECT_EQ(actual.row_distance.floats()[2], 2.0f);
  EXPECT_DOUBLE_EQ(actual.entropy[0], of_row_3 / 2.0);
  EXPECT_FALSE(attention_statistics(sample.problem, {}, pool).row_entropy);
}

/// The product in double, whole.
std::vector<double> rollout(const std::vector<Sample>& layers, std::size_t sequence, double identity) {
  const auto n = static_cast<std::size_t>(layers[0].problem.sequences[sequence].query_count);
  std::vector<double> product(n * n);
  for (std::size_t i = 0; i < n; ++i) product[i * n + i] = 1.0;
  for (const Sample& layer : layers) {
    std::vector<double> mean(n * n), next(n * n);
    for (int head = 0; head < layer.problem.heads; ++head) {
      const std::vector<double> weights = reference::weights(layer.problem, sequence, head);
      for (std::size_t row = 0; row < n; ++row) {
        const double sum = std::accumulate(&weights[row * n], &weights[row * n] + n, 0.0);
        for (std::size_t i = 0; i < n; ++i) mean[row * n + i] += weights[row * n + i] / (sum * layer.problem.heads);
      }
    }
    for (std::size_t i = 0; i < n; ++i)
      for (std::size_t j = 0; j < n; ++j) {
        const double weight = (1.0 - identity) * mean[i * n + j] + (i == j ? identity : 0.0);
        for (std::size_t k = 0; weight != 0.0 && k < n; ++k) next[i * n + k] += weight * product[j * n + k];
      }
    product = next;
  }
  return product;
}

TEST(AttentionInspection, RolloutIsTheProductOfTheLayers) {
  ThreadPool pool(2);
  for (const Normaliser normaliser : {Normaliser::softmax, Normaliser::sigmoid}) {
    Choice choice;
    choice.spec.normaliser = normaliser;
    choice.spec.mask = causal() | window(9);
    choice.lengths = {{3, 3}, {530, 530}};  // more than are held together
    choice.heads = 2;
    choice.head_width = 8;
    std::vector<Sample> layers;
    std::vector<AttentionProblem> problems;
    for (std::uint64_t layer = 0; layer < 3; ++layer) {
      layers.emplace_back(choice, layer);
      problems.push_back(layers.back().problem);
    }
    const double tolerance = 3.0 * Tolerances(choice, layers[0]).log_sum_exp;
    const std::vector<double> expected = rollout(layers, 1, 0.4f);
    const Tensor all = attention_rollout(problems, {.sequence = 1, .identity = 0.4f}, pool);
    EXPECT_EQ(all.shape(), (Shape{530, 530}));
    EXPECT_EQ(difference("rollout", elements_of(all), expected, tolerance), "");
    const Tensor some = attention_rollout(problems, {.sequence = 1, .identity = 0.4f, .rows = {529, 7}}, pool);
    std::vector<double> rows(&expected[529 * 530], &expected[529 * 530] + 530);
    rows.insert(rows.end(), &expected[7 * 530], &expected[7 * 530] + 530);
    EXPECT_EQ(difference("rows of a rollout", elements_of(some), rows, tolerance), "");
  }
}

TEST(AttentionInspection, NothingIsWrittenOrReadBehindRowsOfAnyLength) {
  ThreadPool pool(1);
  for (const kernels::InstructionSet set : kernels::available()) {
    const Using used(set);
    for (std::int64_t keys = 1; keys < 40; keys += 3) {
      Choice choice;
      choice.lengths = {{3, keys}};
      choice.guarded = true;
      const Sample sample(choice, 1);
      const Look look("look", sample.problem, {}, pool);
      const Tensor rows = guarded_tensor({3, keys}, DType::float32);
      look.show(look.blocks()[0], 0, rows.floats(), keys);
      for (std::int64_t row = 0; row < 3; ++row)
        EXPECT_NEAR(std::accumulate(rows.floats() + row * keys, rows.floats() + (row + 1) * keys, 0.0), 1.0,
                    8.0 * std::numeric_limits<float>::epsilon());
    }
  }
}

TEST(AttentionInspection, AnyNumberOfThreadsGivesTheSameBits) {
  std::vector<Tensor> before;
  for (const int threads : {1, 2, 3}) {
    ThreadPool pool(threads);
    const Sample sample(two_long_sequences(Normaliser::entmax15), 5);
    Choice square = two_long_sequences(Normaliser::softmax);
    square.lengths = {{90, 90}};
    const Sample first(square, 1), second(square, 2);
    const std::vector<AttentionProblem> layers = {first.problem, second.problem};
    const AttentionLook look{.sequence = 1};
    const AttentionStatistics statistics = attention_statistics(sample.problem, look, pool, true);
    const std::vector<Tensor> now = {attention_weights(sample.problem, look, pool),
                                     attention_scores(sample.problem, look, pool),
                                     largest_weights(sample.problem, look, 3, pool).weights,
                                     statistics.row_entropy,
                                     statistics.row_distance,
                                     attention_rollout(layers, {}, pool)};
    for (std::size_t i = 0; i < before.size(); ++i)
      EXPECT_EQ(std::memcmp(now[i].data(), before[i].data(), static_cast<std::size_t>(now[i].bytes())), 0) << i;
    before = now;
  }
}

template <class Function>
void expect_error(Function function, const std::string& expected) {
  try {
    function();
    ADD_FAILURE() << "no error; expected " << expected;
  } catch (const Error& error) {
    EXPECT_EQ(std::string(error.what()), expected);
  }
}

TEST(AttentionInspection, NamesWhatTheProblemHasNot) {
  ThreadPool pool(1);
  Choice choice;
  choice.lengths = {{5, 7}, {3, 3}};
  const Sample sample(choice, 1);
  const AttentionProblem& problem = sample.problem;
  expect_error([&] { attention_weights(problem, {.sequence = 2}, pool); },
               "attention_weights: sequence 2 of a problem with 2");
  expect_error(
      [&] {
        attention_scores(problem, {.heads = {0, 2}}, pool);
      },
      "attention_scores: head 2 of a problem with heads 0 to 1");
  expect_error([&] { attention_statistics(problem, {.rows = {5}}, pool); },
               "attention_statistics: row 5 of sequence 0, which has 5 queries");
  expect_error([&] { largest_weights(problem, {.begin = 4, .count = 2}, 1, pool); },
               "largest_weights: 2 rows from 4 on of sequence 0, which has 5 queries");
  expect_error([&] { largest_weights(problem, {}, 0, pool); },
               "largest_weights: 0 of each row are asked for; expected 1 or more");
  expect_error([&] { attention_rollout({}, {}, pool); },
               "attention_rollout: no layers are given; expected one or more");
  expect_error(
      [&] {
        attention_rollout({&problem, 1}, {}, pool);
      },
      "attention_rollout: layer 0 has 5 queries and 7 keys; expected 5 of both, as layer 0 has queries");
  expect_error(
      [&] {
        attention_rollout({&problem, 1}, {.sequence = 1, .identity = 1.5f}, pool);
      },
      "attention_rollout: the identity's share is 1.5; expected 0 to 1");
}

}  // namespace

}  // namespace heed::attention
