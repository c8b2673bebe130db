#include <gtest/gtest.h>

#include <cstring>

#include "attention/compare.h"

namespace heed::attention {

namespace {

constexpr DType types[] = {DType::float32, DType::bfloat16, DType::float16, DType::int8, DType::q4};

/// Cached keys in pages, which end where memory ends that may be touched.
Choice cached(std::vector<std::pair<std::int64_t, std::int64_t>> lengths, DType dtype = DType::float32) {
  Choice choice;
  choice.spec.mask = causal();
  choice.heads = 4;
  choice.lengths = std::move(lengths);
  choice.key_value_dtype = dtype;
  choice.span = 64;
  choice.guarded = true;
  return choice;
}

void expect_reference(const Choice& choice) {
  static ThreadPool pool(2);
  Comparison comparison(choice, 1);
  for (const kernels::InstructionSet set : kernels::available())
    EXPECT_EQ(comparison.difference_of(set, pool), "") << choice.text();
}

/// The output with a pool of `threads`, and the log-sum-exp behind it.
std::vector<float> forward(Sample& sample, int threads) {
  ThreadPool pool(threads);
  sample.forward(pool);
  std::vector<float> all(sample.output.floats(), sample.output.floats() + sample.output.elements());
  all.insert(all.end(), sample.log_sum_exp.floats(), sample.log_sum_exp.floats() + sample.log_sum_exp.elements());
  return all;
}

TEST(Decoding, TakesEveryTypeWidthAndNumberOfKeys) {
  for (const DType dtype : types)
    for (const auto& [width, value_width] : {std::pair{16, 16}, {34, 20}, {96, 80}, {2, 130}})
      for (const std::int64_t keys : {1, 17, 515}) {
        Choice choice = cached({{1, keys}}, dtype);
        choice.head_width = width;
        choice.value_width = value_width;
        choice.span = keys == 515 ? 37 : 64;
        choice.key_value_heads = 2;
        expect_reference(choice);
      }
}

TEST(Decoding, TakesAFewQueriesOfGroupsOfAnySize) {
  for (const auto& [heads, key_value_heads] : {std::pair{1, 1}, {3, 3}, {6, 2}, {8, 1}, {5, 1}})
    for (const std::int64_t queries : {1, 2, 3, 4}) {
      Choice choice = cached({{queries, 70}}, queries % 2 == 0 ? DType::bfloat16 : DType::int8);
      choice.heads = heads;
      choice.key_value_heads = key_value_heads;
      choice.query_dtype = choice.output_dtype = queries == 2 ? DType::bfloat16 : DType::float32;
      choice.gap = queries;
      if (choice.key_value_dtype == DType::int8) choice.gap = 0;
      expect_reference(choice);
    }
}

TEST(Decoding, TakesOddWidthsWhereAnElementIsAByteOrMore) {
  for (const DType dtype : {DType::float32, DType::bfloat16, DType::float16, DType::int8}) {
    Choice choice = cached({{2, 33}}, dtype);
    choice.head_width = 33;
    choice.value_width = 7;
    choice.key_value_heads = 2;
    choice.gap = 3;
    expect_reference(choice);
  }
}

TEST(Decoding, TakesTheAbsorbedLatentForm) {
  Choice choice = cached({{1, 300}}, DType::bfloat16);
  choice.heads = 16;
  choice.head_width = 576;
  choice.value_width = 512;
  expect_reference(choice);
}

TEST(Decoding, KnowsEveryMask) {
  std::vector<Mask> masks = {
      causal() & window(20),
      causal() & (window(20) | first_keys(4)),
      !causal(-30),
      first_keys(0),
      key_lengths({300, 0, 1000}),
      causal() & dilated(3),
      mask("thirds", [](const auto& at) noexcept { return at.key < 5 || at.query - at.key < 9; }),
      mask("by head", [](const auto& at) noexcept { return at.key < 100 * at.head; }),
      mask("called",
           [](int, int head, std::int64_t query, std::int64_t key) noexcept { return (head + query + key) % 5 == 0; })};
  for (const Mask& mask : masks) {
    Choice choice = cached({{1, 700}, {3, 600}, {4, 10}});
    choice.spec.mask = mask;
    expect_reference(choice);
  }
}

TEST(Decoding, KnowsWhateverBecomesOfScores) {
  const auto expect = [](auto change) {
    Choice choice = cached({{1, 530}, {4, 100}});
    choice.key_value_heads = 2;
    change(choice);
    expect_reference(choice);
  };
  expect([](Choice& choice) { choice.spec.soft_cap = 2.0f; });
  expect([](Choice& choice) { choice.spec.dropout = 0.3f; });
  expect([](Choice& choice) { choice.slopes = true; });
  expect([](Choice& choice) { choice.reach = 5; });
  expect([](Choice& choice) { choice.bias = 15; });
  expect([](Choice& choice) { choice.spec.scale = -0.3f; });
  expect([](Choice& choice) { choice.spec.score = Score::bilinear, choice.key_width = 24; });
  expect([](Choice& choice) {
    choice.spec.rule =
        score("far", [](auto s, const auto& at) noexcept { return tanh(s) - 0.01f * abs(at.query - at.key); });
    choice.spec.soft_cap = 3.0f;
  });
  for (const Normaliser normaliser : {Normaliser::softmax_zero, Normaliser::softmax_sink, Normaliser::sigmoid})
    expect([&](Choice& choice) { choice.spec.normaliser = normaliser; });
  for (const Score score : {Score::cosine, Score::euclidean})
    for (const DType dtype : {DType::float32, DType::int8})
      expect([&](Choice& choice) { choice.spec.score = score, choice.key_value_dtype = dtype; });
}

TEST(Decoding, StandsBesideLongerSequencesInOneCall) {
  Choice choice = cached({{1, 700}, {5, 60}, {3, 130}, {0, 10}, {20, 20}, {2, 0}, {1, 1}});
  choice.key_value_heads = 2;
  expect_reference(choice);
}

TEST(Decoding, StandsBesideLongerSequencesOfIntegersOfAnyWidth) {
  for (const int value_width : {4, 8, 24, 40}) {
    Choice choice = cached({{20, 64}, {1, 64}}, DType::int8);
    choice.value_width = value_width;
    choice.span = 100;
    expect_reference(choice);
  }
}

/// Rows so wide that a part of the keys that is decoded by itself holds few.
Choice of_many_parts() {
  Choice choice = cached({{2, 900}});
  choice.heads = 3;
  choice.head_width = choice.value_width = 512;
  return choice;
}

TEST(Decoding, PartsOfTheKeysMakeTheWhole) { expect_reference(of_many_parts()); }

TEST(Decoding, GivesTheSameBitsForAnyNumberOfThreads) {
  for (const DType dtype : types) {
    Choice choice = of_many_parts();
    choice.key_value_dtype = dtype;
    choice.lengths = {{2, 1000}, {1, 1500}, {9, 300}};
    choice.guarded = false;
    Sample sample(choice, 1);
    const std::vector<float> one = forward(sample, 1);
    for (const int threads : {2, 3}) {
      const std::vector<float> several = forward(sample, threads);
      EXPECT_EQ(std::memcmp(one.data(), several.data(), one.size() * sizeof(float)), 0) << name_of(dtype);
    }
  }
}

TEST(Decoding, OfTheLastTokensEqualsTheirRowsOfTheWholeForward) {
  const std::int64_t length = 200;
  Choice choice = cached({{length, length}});
  choice.key_value_heads = 2;
  Sample whole(choice, 1);
  forward(whole, 1);
  for (const std::int64_t queries : {1, 3}) {
    Sample last(choice, 1);
    AttentionSequence& sequence = last.problem.sequences[0];
    sequence.query_begin = sequence.query_position = length - queries;
    sequence.query_count = queries;
    forward(last, 1);
    const std::int64_t from = (length - queries) * last.output.width();
    for (std::int64_t i = from; i < last.output.elements(); ++i)
      EXPECT_NEAR(last.output.floats()[i], whole.output.floats()[i], 64 * std::numeric_limits<float>::epsilon());
  }
}

TEST(Decoding, AQueryThatSeesNoKeyGivesZero) {
  Choice choice = cached({{1, 40}});
  choice.spec.mask = first_keys(0);
  Sample sample(choice, 1);
  for (const float element : forward(sample, 1)) EXPECT_TRUE(element == 0.0f || std::isinf(element));
}

TEST(SharedPrefixes, EqualThePrefixInFrontOfEachSequence) {
  for (const DType dtype : types)
    for (const std::int64_t span : {64, 7}) {
      Choice choice = cached({{1, 30}, {3, 1}, {1, 90}, {20, 20}, {2, 0}}, dtype);
      choice.prefix = 601;
      choice.span = span;
      choice.key_value_heads = 2;
      expect_reference(choice);
    }
}

TEST(SharedPrefixes, TakeMasksRulesAndScoresByEachSequencesPositions) {
  for (const Score score : {Score::scaled_dot, Score::cosine, Score::euclidean, Score::additive}) {
    Choice choice = cached({{1, 30}, {4, 10}, {1, 90}, {9, 20}});
    choice.spec.score = score;
    choice.spec.mask = causal() & (window(80) | first_keys(20));
    choice.slopes = true;
    choice.bias = 15;
    choice.spec.dropout = 0.2f;
    choice.prefix = 100;
    expect_reference(choice);
  }
}

TEST(SharedPrefixes, GiveTheSameBitsForAnyNumberOfThreads) {
  Choice choice = of_many_parts();
  choice.lengths = {{1, 100}, {2, 700}, {1, 30}, {1, 1}};
  choice.prefix = 1500;
  choice.guarded = false;
  Sample sample(choice, 1);
  const std::vector<float> one = forward(sample, 1), three = forward(sample, 3);
  EXPECT_EQ(std::memcmp(one.data(), three.data(), one.size() * sizeof(float)), 0);
}

}  // namespace

}  // namespace heed::attention
