#include <gtest/gtest.h>

#include "formats/test_files.h"
#include "support/gradients.h"

namespace heed::test {

namespace {

const std::vector<std::int64_t> lengths{5, 1, 9, 2};

AttentionOptions heads_of(int heads, int key_value_heads, int head_width) {
  AttentionOptions options;
  options.heads = heads;
  options.key_value_heads = key_value_heads;
  options.head_width = head_width;
  return options;
}

/// A value of its own with the same elements: self_attention turns what it is given.
Var fresh(const Var& x) { return x + x.pass().input(Tensor(x.shape())); }

/// Self-attention over sequences of different lengths, with `reach` ≥ 0 under a bias by distance that is learned.
void expect_self_attention(const AttentionOptions& options, std::int64_t reach = -1,
                           const std::vector<Precision>& precisions = {Precision::float32, Precision::bfloat16}) {
  const SequencesPointer sequences = sequences_of_lengths(lengths);
  const std::int64_t width = (options.heads + 2 * options.key_value_heads) * options.head_width;
  Trial trial{{{sequences->tokens(), width}}, {sequences}};
  if (reach >= 0) trial.inputs.push_back({options.heads, 2 * reach + 1});
  trial.twice = options.spec.dropout == 0.0f;
  for (const Precision precision : precisions) {
    SCOPED_TRACE(precision == Precision::float32 ? "float32" : "bfloat16");
    trial.precision = precision;
    if (precision == Precision::bfloat16) trial.twice = false;  // the result feeds a product alone
    expect_operator(
        trial,
        [&](const Vars& x) {
          AttentionOptions own = options;
          if (reach >= 0) own.relative = x[1];
          return self_attention(options.rotated > 0 ? fresh(x[0]) : x[0], own);
        },
        [&](const auto& x) {
          return reference::self_attention(x[0], reach >= 0 ? x[1] : std::decay_t<decltype(x[0])>(), *sequences,
                                           options, random_call(0));
        });
  }
}

TEST(SelfAttention, EqualsTheFormulaInDoubleWithItsGradient) { expect_self_attention(heads_of(2, 2, 8)); }

TEST(SelfAttention, TakesOddHeadWidths) { expect_self_attention(heads_of(3, 3, 5)); }

TEST(SelfAttention, CausalSeesNothingAhead) {
  AttentionOptions options = heads_of(2, 2, 8);
  options.spec.mask = causal();
  expect_self_attention(options);
}

TEST(SelfAttention, SeesAWindowAlone) {
  AttentionOptions options = heads_of(2, 2, 8);
  options.spec.mask = window(2);
  expect_self_attention(options);
  options.spec.mask = causal() & window(3);
  expect_self_attention(options);
}

TEST(SelfAttention, GroupsOfHeadsShareKeysAndValues) {
  AttentionOptions options = heads_of(4, 2, 6);
  options.spec.mask = causal();
  expect_self_attention(options);
  expect_self_attention(heads_of(4, 1, 6));
}

TEST(SelfAttention, TurnsQueriesAndKeysByTheirPositions) {
  AttentionOptions options = heads_of(4, 2, 8);
  options.spec.mask = causal();
  options.rotated = 8;
  expect_self_attention(options);
  options.rotated = 4;  // the rest of a head stays
  options.rotary_base = 500.0f;
  expect_self_attention(options);
}

TEST(SelfAttention, PenalisesDistanceByAlibi) {
  AttentionOptions options = heads_of(4, 4, 6);
  options.spec.mask = causal();
  options.slopes = alibi_slopes(4);
  expect_self_attention(options);
}

TEST(SelfAttention, LearnsABiasByDistance) {
  AttentionOptions options = heads_of(2, 2, 6);
  expect_self_attention(options, 3);
  options.spec.mask = causal();
  expect_self_attention(options, 12);
}

TEST(SelfAttention, DropsTheSameWeightsInForwardAndBackward) {
  AttentionOptions options = heads_of(2, 1, 8);
  options.spec.dropout = 0.4f;
  expect_self_attention(options);
}

TEST(SelfAttention, OfNoTokensIsEmpty) {
  const SequencesPointer none = sequences_of_lengths({});
  const AttentionOptions options = heads_of(2, 2, 4);
  expect_operator(
      {{{0, 24}}, {none}}, [&](const Vars& x) { return self_attention(x[0], options); },
      [&](const auto& x) { return reference::columns(x[0], 0, 8); });
}

TEST(SelfAttention, NamesTheShapeWhenHeadsDoNotFit) {
  Arena arena(1 << 20);
  ThreadPool pool(1);
  Pass pass(arena, pool);
  const Var x = pass.input(Tensor({3, 23}), sequences_of_lengths({3}));
  expect_error("self_attention: x is [3, 23]; 2 heads and 2 key/value heads of width 4 need a width of 24",
               [&] { self_attention(x, heads_of(2, 2, 4)); });
  expect_error("a value of shape [3, 24] is not divided into sequences", [&] {
    self_attention(pass.input(Tensor({3, 24})), heads_of(2, 2, 4));
  });
}

void expect_cross_attention(const AttentionOptions& options) {
  const SequencesPointer queries = sequences_of_lengths({3, 1, 6}), keys = sequences_of_lengths({5, 2, 1});
  Trial trial{{{queries->tokens(), options.heads * options.head_width},
               {keys->tokens(), 2 * options.key_value_heads * options.head_width}},
              {queries, keys}};
  for (const Precision precision : {Precision::float32, Precision::bfloat16}) {
    SCOPED_TRACE(precision == Precision::float32 ? "float32" : "bfloat16");
    trial.precision = precision;
    trial.twice = precision == Precision::float32 && options.spec.dropout == 0.0f;
    expect_operator(
        trial, [&](const Vars& x) { return cross_attention(x[0], x[1], options); },
        [&](const auto& x) {
          const std::int64_t half = x[1].width / 2;
          return reference::attention(x[0], reference::columns(x[1], 0, half), reference::columns(x[1], half, half), {},
                                      *queries, *keys, options, random_call(0));
        });
  }
}

TEST(CrossAttention, EqualsTheFormulaInDoubleWithItsGradients) { expect_cross_attention(heads_of(2, 2, 8)); }

TEST(CrossAttention, GroupsOfHeadsShareKeysAndValues) { expect_cross_attention(heads_of(4, 2, 5)); }

TEST(CrossAttention, DropsTheSameWeightsInForwardAndBackward) {
  AttentionOptions options = heads_of(2, 2, 8);
  options.spec.dropout = 0.4f;
  expect_cross_attention(options);
}

TEST(CrossAttention, NamesShapesAndSequencesThatDoNotFit) {
  Arena arena(1 << 20);
  ThreadPool pool(1);
  Pass pass(arena, pool);
  const auto of = [&](Shape shape, const std::vector<std::int64_t>& parts) {
    return pass.input(Tensor(shape), sequences_of_lengths(parts));
  };
  const AttentionOptions options = heads_of(2, 1, 4);
  expect_error("cross_attention: query is [3, 7]; 2 heads of width 4 need a width of 8", [&] {
    cross_attention(of({3, 7}, {3}), of({3, 8}, {3}), options);
  });
  expect_error("cross_attention: key_value is [3, 9]; 1 heads of width 4 need a width of 8", [&] {
    cross_attention(of({3, 8}, {3}), of({3, 9}, {3}), options);
  });
  expect_error("cross_attention: 1 sequences of queries, 2 of keys", [&] {
    cross_attention(of({3, 8}, {3}), of({3, 8}, {1, 2}), options);
  });
}

/// The bucket of a distance, key − query, as Raffel et al. 2020 divide them.
std::int64_t bucket_of(std::int64_t distance, std::int64_t buckets, bool bidirectional, std::int64_t largest) {
  std::int64_t first = 0;
  if (bidirectional) {
    buckets /= 2;
    if (distance > 0) first = buckets;
    distance = std::abs(distance);
  } else {
    distance = distance > 0 ? 0 : -distance;
  }
  const std::int64_t exact = buckets / 2;
  if (distance < exact) return first + distance;
  const double share = std::log(static_cast<double>(distance) / static_cast<double>(exact)) /
                       std::log(static_cast<double>(largest) / static_cast<double>(exact));
  const double further = share * static_cast<double>(buckets - exact);
  return first + std::min(buckets - 1, exact + static_cast<std::int64_t>(further));
}

TEST(RelativePositions, TakeTheBucketsOfT5) {
  for (const bool bidirectional : {false, true})
    expect_operator(
        {{{3, 8}}}, [&](const Vars& x) { return relative_from_buckets(x[0], 30, bidirectional, 20); },
        [&](const auto& x) {
          std::decay_t<decltype(x[0])> y(3, 61);
          for (std::int64_t head = 0; head < 3; ++head)
            for (std::int64_t i = 0; i < 61; ++i) y(head, i) = x[0](head, bucket_of(i - 30, 8, bidirectional, 20));
          return y;
        });
}

TEST(RelativePositions, NeedEnoughBuckets) {
  Arena arena(1 << 20);
  ThreadPool pool(1);
  Pass pass(arena, pool);
  expect_error("relative positions: 2 buckets are too few for distances up to 20", [&] {
    relative_from_buckets(pass.input(Tensor({1, 2})), 4, true, 20);
  });
}

TEST(Alibi, SlopesAreThoseOfThePaper) {
  const Tensor eight = alibi_slopes(8);
  for (int i = 0; i < 8; ++i) EXPECT_EQ(eight.floats()[i], std::exp2(-static_cast<float>(i + 1)));
  // Beyond a power of two: the odd places of the next one.
  const Tensor six = alibi_slopes(6);
  const double exponents[] = {2, 4, 6, 8, 1, 3};
  for (int i = 0; i < 6; ++i) EXPECT_EQ(six.floats()[i], static_cast<float>(std::exp2(-exponents[i])));
}

}  // namespace

}  // namespace heed::test
