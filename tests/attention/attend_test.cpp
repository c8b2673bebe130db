#include <gtest/gtest.h>
#include <heed/attention.h>

#include <cstring>

#include "attention/sample.h"

namespace heed::attention {

namespace {

Tensor draw(Shape shape, std::uint64_t seed, DType dtype = DType::float32) {
  Tensor result(shape);
  for (std::int64_t i = 0; i < result.elements(); ++i)
    result.floats()[i] = normal(RandomKey{seed}, static_cast<std::uint64_t>(i));
  return result.to(dtype);
}

/// Entry [batch, head] of a tensor of four dimensions, as [1, 1, rows, width]; extents of 1 broadcast.
Tensor entry(const Tensor& x, std::int64_t batch, std::int64_t head) {
  const Shape& shape = x.shape();
  const Tensor flat = x.reshaped({shape[0] * shape[1], shape[2], shape[3]});
  const std::int64_t i = (shape[0] == 1 ? 0 : batch) * shape[1] + (shape[1] == 1 ? 0 : head);
  return flat.slice(i, i + 1).reshaped({1, 1, shape[2], shape[3]});
}

/// Of heads: their own entry alone.
Tensor of_head(const Tensor& x, std::int64_t head) { return x ? x.slice(head, head + 1) : x; }

/// attend of everything equals attend of each head of each batch alone.
void expect_each_head_alone(const AttentionInputs& inputs, const AttentionSpec& spec) {
  SCOPED_TRACE(spec.text());
  ThreadPool pool(2);
  Tensor sums;
  const Tensor output = attend(inputs, spec, pool, &sums);
  const Shape& q = inputs.query.shape();
  ASSERT_EQ(output.shape(), (Shape{q[0], q[1], q[2], inputs.value.width()}));
  ASSERT_EQ(sums.shape(), (Shape{q[0], q[1], q[2]}));
  ASSERT_EQ(output.dtype(), inputs.query.dtype());
  const Tensor whole = output.to(DType::float32), all_sums = sums.reshaped({q[0], q[1], q[2], 1});
  // Where outputs are rounded to bfloat16, half a unit in the last place may go either way.
  const double epsilons = output.dtype() == DType::bfloat16 ? 0x1p16 : 64.0;
  for (std::int64_t batch = 0; batch < q[0]; ++batch)
    for (std::int64_t head = 0; head < q[1]; ++head) {
      AttentionInputs one;
      const std::int64_t shared = head / (q[1] / inputs.key.shape()[1]);
      one.query = entry(inputs.query, batch, head);
      one.key = entry(inputs.key, batch, shared);
      one.value = entry(inputs.value, batch, shared);
      one.bilinear = of_head(inputs.bilinear, head);
      one.direction = of_head(inputs.direction, head);
      one.sinks = of_head(inputs.sinks, head);
      one.slopes = of_head(inputs.slopes, head);
      one.relative = of_head(inputs.relative, head);
      if (inputs.bias && inputs.bias.shape().rank() == 4) one.bias = entry(inputs.bias, batch, head);
      if (inputs.bias && inputs.bias.shape().rank() == 2) one.bias = inputs.bias;
      Tensor own_sums;
      const Tensor alone = attend(one, spec, pool, &own_sums).to(DType::float32);
      const auto doubles = [](const Tensor& x) { return std::vector<double>(x.floats(), x.floats() + x.elements()); };
      const std::string where = format("batch {}, head {}", batch, head);
      expect_close(entry(whole, batch, head), doubles(alone), epsilons, where);
      expect_close(entry(all_sums, batch, head), doubles(own_sums), 64.0, where + ", log-sum-exp");
    }
}

AttentionInputs plain(std::int64_t queries, std::int64_t keys, std::int64_t key_value_heads = 2,
                      DType dtype = DType::float32) {
  return {.query = draw({3, 4, queries, 8}, 1, dtype),
          .key = draw({3, key_value_heads, keys, 8}, 2, dtype),
          .value = draw({3, key_value_heads, keys, 5}, 3, dtype)};
}

TEST(Attend, ComputesEachHeadOfEachBatch) {
  for (const std::int64_t queries : {1, 3, 9})
    for (const std::int64_t shared : {1, 2, 4}) {
      expect_each_head_alone(plain(queries, 20, shared), {});
      expect_each_head_alone(plain(queries, 20, shared), {.mask = causal() & window(7)});
      expect_each_head_alone(plain(queries, 20, shared), {.score = Score::cosine, .normaliser = Normaliser::entmax15});
    }
  expect_each_head_alone(plain(0, 20), {});
  expect_each_head_alone(plain(5, 0), {});
  expect_each_head_alone(plain(9, 20, 2, DType::bfloat16), {.mask = causal()});
}

TEST(Attend, GivesTheSameBitsWhateverWasAttendedToBefore) {
  ThreadPool pool(1);
  AttentionInputs inputs = plain(9, 20);
  inputs.direction = draw({4, 8}, 5);
  const AttentionSpec spec{.score = Score::additive};
  const Tensor first = attend(inputs, spec, pool).clone();
  // Large numbers, and more of them: what working memory they leave must not be looked at.
  AttentionInputs large = plain(70, 150);
  large.direction = inputs.direction;
  for (Tensor* x : {&large.query, &large.key, &large.value})
    for (std::int64_t i = 0; i < x->elements(); ++i) x->floats()[i] = 1e3f;
  attend(large, spec, pool);
  const Tensor again = attend(inputs, spec, pool);
  EXPECT_EQ(0, std::memcmp(first.floats(), again.floats(), static_cast<std::size_t>(first.elements()) * sizeof(float)));
}

TEST(Attend, TakesEveryOperand) {
  AttentionInputs inputs = plain(9, 20);
  inputs.bilinear = draw({4, 8, 8}, 4);
  expect_each_head_alone(inputs, {.score = Score::bilinear});
  inputs.key = draw({3, 2, 20, 6}, 2);  // keys of another width
  inputs.bilinear = draw({4, 8, 6}, 4);
  expect_each_head_alone(inputs, {.score = Score::bilinear});
  inputs = plain(9, 20);
  inputs.direction = draw({4, 8}, 5);
  expect_each_head_alone(inputs, {.score = Score::additive});
  inputs = plain(9, 20);
  inputs.sinks = draw({4}, 6);
  expect_each_head_alone(inputs, {.normaliser = Normaliser::softmax_sink});
  inputs = plain(9, 20);
  inputs.slopes = draw({4}, 7);
  inputs.relative = draw({4, 11}, 8);
  expect_each_head_alone(inputs, {.mask = causal()});
}

TEST(Attend, BroadcastsBiasesOfTwoToFourDimensions) {
  AttentionInputs inputs = plain(9, 20);
  for (const Shape& shape :
       {Shape{3, 4, 9, 20}, Shape{1, 4, 9, 20}, Shape{3, 1, 9, 1}, Shape{1, 1, 1, 20}, Shape{9, 20}, Shape{1, 20}}) {
    inputs.bias = draw(shape, 9);
    expect_each_head_alone(inputs, {});
    if (shape.rank() == 2) continue;
    ThreadPool pool(1);
    AttentionInputs three = inputs;
    if (shape[0] == 1) three.bias = inputs.bias.reshaped({shape[1], shape[2], shape[3]});
    const Tensor one = attend(inputs, {}, pool), other = attend(three, {}, pool);
    EXPECT_EQ(std::memcmp(one.data(), other.data(), static_cast<std::size_t>(one.bytes())), 0);
  }
}

TEST(Attend, RulesAndMasksSeeBatchesAndHeads) {
  ThreadPool pool(1);
  AttentionInputs inputs = plain(9, 20);
  inputs.parameters = {draw({3, 4}, 1)};
  const AttentionSpec by_rule{.rule = score("by place", [](auto s, const auto& at) noexcept {
                                return s + Parameter(0)(at.batch, at.head) * at.key;
                              })};
  AttentionInputs biased = plain(9, 20);
  biased.bias = Tensor({3, 4, 1, 20});
  for (std::int64_t i = 0; i < biased.bias.elements(); ++i)
    biased.bias.floats()[i] = inputs.parameters[0].floats()[i / 20] * static_cast<float>(i % 20);
  const Tensor expected = attend(biased, {}, pool);
  expect_close(attend(inputs, by_rule, pool),
               std::vector<double>(expected.floats(), expected.floats() + expected.elements()), 256.0, "rule");

  const Tensor masked = attend(plain(9, 20), {.mask = key_lengths({20, 3, 0})}, pool);
  const float* const last = masked.floats() + masked.elements() / 3 * 2;
  for (std::int64_t i = 0; i < masked.elements() / 3; ++i) EXPECT_EQ(last[i], 0.0f);
}

TEST(Attend, MakesThreadsOfItsOwnOrTakesSome) {
  ThreadPool pool(2);
  const AttentionInputs inputs = plain(700, 700);
  const Tensor own = attend(inputs, {}), given = attend(inputs, {}, pool),
               thin = attend(inputs.query, inputs.key, inputs.value, {}, pool);
  EXPECT_EQ(std::memcmp(own.data(), given.data(), static_cast<std::size_t>(own.bytes())), 0);
  EXPECT_EQ(std::memcmp(thin.data(), given.data(), static_cast<std::size_t>(own.bytes())), 0);
}

void expect_error(const AttentionInputs& inputs, const AttentionSpec& spec, const std::string& expected) {
  ThreadPool pool(1);
  try {
    attend(inputs, spec, pool);
    ADD_FAILURE() << "no error; expected " << expected;
  } catch (const Error& error) {
    EXPECT_EQ(std::string(error.what()), expected);
  }
}

TEST(Attend, NamesOperandsAndBothShapes) {
  AttentionInputs inputs = plain(5, 7);
  inputs.key = Tensor({3, 2, 7, 9});
  expect_error(
      inputs, {},
      "attend: query is [3, 4, 5, 8], key is [3, 2, 7, 9], value is [3, 2, 7, 5]; expected [batch, heads, "
      "queries, width], [batch, key-value heads, keys, width] and [batch, key-value heads, keys, value width]");
  expect_error(plain(5, 7, 3), {},
               "attend: query [3, 4, 5, 8] has 4 heads, key [3, 3, 7, 8] has 3; the second must divide the first");
  inputs = plain(5, 7);
  inputs.value = inputs.value.to(DType::bfloat16);
  expect_error(inputs, {}, "attend: key is float32 and value is bfloat16; expected one type");
  inputs = plain(5, 7);
  inputs.bias = Tensor({4, 5, 6});
  expect_error(inputs, {},
               "attend: the bias is [4, 5, 6] of float32; expected 2 to 4 dimensions of float32 that broadcast to "
               "[3, 4, 5, 7]");
  inputs.bias = Tensor({7});
  expect_error(inputs, {},
               "attend: the bias is [7] of float32; expected 2 to 4 dimensions of float32 that broadcast to "
               "[3, 4, 5, 7]");
  inputs = plain(5, 7);
  inputs.slopes = Tensor({2});
  expect_error(inputs, {}, "attend: slopes is [2] of float32; expected [4] of float32");
  inputs = plain(5, 7);
  inputs.relative = Tensor({4, 10});
  expect_error(inputs, {}, "attend: relative is [4, 10] of float32; expected [4, 9] of float32");
  inputs = plain(5, 7);
  inputs.bilinear = Tensor({4, 8, 7});
  expect_error(inputs, {.score = Score::bilinear},
               "attend: bilinear is [4, 8, 7] of float32; expected [4, 8, 8] of float32");
  expect_error(plain(5, 7), {.normaliser = Normaliser::softmax_sink},
               "attention: softmax_sink weights need sinks, [4], but the problem has none");
  expect_error(plain(5, 7), {.mask = allowed(Tensor({2, 5, 7}, DType::boolean))},
               "attention: the mask's allowed([2, 5, 7]) has 2 heads, the call has 4; give 1 or 4");
  expect_error(plain(5, 7), {.mask = key_lengths({7, 7})},
               "attention: the mask's key_lengths has 2 lengths, the call has 3 sequences; give one, or one each");
}

}  // namespace

}  // namespace heed::attention
