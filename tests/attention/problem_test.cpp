#include "attention/problem.h"

#include <gtest/gtest.h>

#include <cmath>

#include "attention/sample.h"

namespace heed::attention {

namespace {

/// A sample that is right, one change, and the sentence that the change is answered with.
template <class Change>
void expect_error(const Choice& choice, Change change, const std::string& expected) {
  const Sample sample(choice, 1);
  SampleGradients gradients(sample);
  AttentionProblem problem = sample.problem;
  View output = sample.output.view();
  change(problem, gradients.to, output);
  try {
    check_backward(problem, output, sample.log_sum_exp.floats(), sample.doutput.view(), gradients.to);
    ADD_FAILURE() << "no error; expected " << expected;
  } catch (const Error& error) {
    EXPECT_EQ(std::string(error.what()), "attention: " + expected);
  }
}

template <class Change>
void expect_problem_error(const Choice& choice, Change change, const std::string& expected) {
  expect_error(
      choice, [&](AttentionProblem& problem, AttentionGradients&, View&) { change(problem); }, expected);
}

template <class Change>
void expect_gradient_error(const Choice& choice, Change change, const std::string& expected) {
  expect_error(
      choice, [&](AttentionProblem&, AttentionGradients& gradients, View&) { change(gradients); }, expected);
}

const Choice plain;

TEST(AttentionProblem, NamesHeadsAndWidthsThatDoNotFit) {
  expect_problem_error(
      plain, [](auto& p) { p.key_value_heads = 3; },
      "2 heads over 3 key-value heads; the second must divide the first");
  expect_problem_error(
      plain, [](auto& p) { p.value_width = 0; }, "head width 16 and value width 0; both must be 1 or more");
  expect_problem_error(
      plain, [](auto& p) { p.heads = 4; }, "query is [5, 32]; 4 heads of width 16 need a width of 64");
  expect_problem_error(
      plain, [](auto& p) { p.key_width = 8; },
      "queries of width 16 and keys of width 8 under scaled_dot scores; only bilinear scores take two "
      "widths");
  expect_problem_error(
      plain, [](auto& p) { p.query.row_stride = 31; }, "query is [5, 32] with rows 31 apart; expected [5, 32]");
  expect_problem_error(
      plain, [](auto& p) { p.query.data = nullptr; }, "query, [5, 32], has no memory");
  expect_problem_error(
      plain, [](auto& p) { p.query.dtype = DType::float16; }, "query is float16; expected float32 or bfloat16");
  expect_problem_error(
      plain, [](auto& p) { p.key_value_dtype = DType::int32; },
      "keys and values are int32; expected float32, bfloat16, float16, int8 or int4");
  expect_problem_error(
      plain, [](auto& p) { p.key_stride = 15; },
      "rows of keys and values are 15 and 16 apart; 1 key-value heads need 16 and 16");
  expect_error(
      plain, [](auto&, auto&, View& output) { output.width = 16; },
      "output is [5, 16] with rows 32 apart; expected [5, 32]");
  expect_error(
      plain, [](auto&, auto&, View& output) { output.dtype = DType::float16; },
      "output is float16; expected float32 or bfloat16");
}

TEST(AttentionProblem, NamesNumbersThatAreNone) {
  expect_problem_error(
      plain, [](auto& p) { p.spec.scale = std::nanf(""); }, "the scale is nan; expected a finite number");
  expect_problem_error(
      plain, [](auto& p) { p.spec.scale = HUGE_VALF; }, "the scale is inf; expected a finite number");
  expect_problem_error(
      plain, [](auto& p) { p.spec.soft_cap = -1.0f; },
      "the soft cap is -1; expected 0 (none) or a finite number above");
  expect_problem_error(
      plain, [](auto& p) { p.spec.soft_cap = HUGE_VALF; },
      "the soft cap is inf; expected 0 (none) or a finite number above");
  expect_problem_error(
      plain, [](auto& p) { p.spec.dropout = 1.0f; }, "dropout is 1; expected a share in [0, 1)");
}

TEST(AttentionProblem, NamesOperandsThatAreMissingOrTooMany) {
  const float number = 1.0f;
  Choice choice;
  choice.spec.score = Score::bilinear;
  choice.key_width = 4;
  expect_problem_error(
      choice, [](auto& p) { p.bilinear = nullptr; },
      "bilinear scores need a bilinear matrix, [2, 16, 4], but the problem has none");
  choice.key_width = 0;
  choice.spec.score = Score::additive;
  expect_problem_error(
      choice, [](auto& p) { p.direction = nullptr; },
      "additive scores need a direction, [2, 16], but the problem has none");
  choice.spec.score = Score::dot;
  choice.spec.normaliser = Normaliser::softmax_sink;
  expect_problem_error(
      choice, [](auto& p) { p.sinks = nullptr; }, "softmax_sink weights need sinks, [2], but the problem has none");
  expect_problem_error(
      plain, [&](auto& p) { p.bilinear = &number; },
      "the problem has a bilinear matrix, [2, 16, 16], which only bilinear scores take; it asks for "
      "scaled_dot scores");
  expect_problem_error(
      plain, [&](auto& p) { p.sinks = &number; },
      "the problem has sinks, [2], which only softmax_sink weights take; it asks for softmax weights");
}

TEST(AttentionProblem, NamesBiasesAndParametersThatDoNotFit) {
  Choice choice;
  choice.reach = 2;
  expect_problem_error(
      choice, [](auto& p) { p.relative_reach = -1; }, "the reach of relative biases is -1; expected 0 or more");
  choice.bias = 0b1100;
  expect_problem_error(
      choice, [](auto& p) { p.bias.strides[1] = -3; },
      "the bias has strides 0, -3, 7, 1; expected 0 (broadcast) or more");
  choice.spec.rule =
      score("learned", [](auto s, const auto& at) noexcept { return s + Parameter(1)(at.head, at.key); });
  choice.parameters = {{2}, {2, 7}};
  expect_problem_error(
      choice, [](auto& p) { p.parameters.pop_back(); }, "the rule 'learned' reads parameter 1, but the problem has 1");
  expect_problem_error(
      choice, [](auto& p) { p.parameters[1] = Tensor({14}); },
      "the rule 'learned' reads parameter 1 by 2 indices, but it is [14]");
  expect_problem_error(
      choice,
      [](auto& p) {
        p.parameters[1] = Tensor({2, 7}, DType::bfloat16);
      },
      "parameter 1 is [2, 7] of bfloat16; expected float32 and one element or more");
}

TEST(AttentionProblem, NamesMasksThatBroadcastToNothing) {
  expect_problem_error(
      plain,
      [](auto& p) {
        p.spec.mask = causal() & allowed(Tensor({3, 5, 7}, DType::boolean));
      },
      "the mask's allowed([3, 5, 7]) has 3 heads, the call has 2; give 1 or 2");
  expect_problem_error(
      plain,
      [](auto& p) {
        p.spec.mask = !blocks(Tensor({4, 1, 1, 1}, DType::boolean), 64);
      },
      "the mask's blocks([4, 1, 1, 1] of 64) has 4 sequences, the call has 1; give 1");
  expect_problem_error(
      plain,
      [](auto& p) {
        p.spec.mask = key_lengths({3, 4});
      },
      "the mask's key_lengths has 2 lengths, the call has 1 sequences; give one, or one each");
}

TEST(AttentionProblem, NamesSequencesAndSpansThatDoNotFit) {
  expect_problem_error(
      plain, [](auto& p) { p.sequences[0].query_count = 6; }, "sequence 0 has query rows 0 to 6, the query is [5, 32]");
  expect_problem_error(
      plain, [](auto& p) { p.sequences[0].key_count = 9; }, "sequence 0 has 9 keys, but its spans hold 7");
  expect_problem_error(
      plain, [](auto& p) { p.sequences[0].spans[0].value = nullptr; },
      "sequence 0 has a span of 7 keys without memory");
  const float scale = 1.0f;
  expect_problem_error(
      plain, [&](auto& p) { p.sequences[0].spans[0].key_scale = &scale; },
      "sequence 0 has a span of 7 keys of float32 with scales; only int8 and int4 have some");
  Choice choice;
  choice.key_value_dtype = DType::int8;
  expect_problem_error(
      choice, [](auto& p) { p.sequences[0].spans[0].key_scale = nullptr; },
      "sequence 0 has a span of 7 keys of int8 without scales; expected [7, 1] for the keys and for the "
      "values");
  choice.key_value_dtype = DType::q4;
  expect_problem_error(
      choice, [](auto& p) { p.value_width = 15; },
      "int4 keys and values of widths 16 and 15 a head; two share a byte, so expected even numbers");
  expect_problem_error(
      choice, [](auto& p) { p.key_stride = 17; },
      "rows of keys and values are 17 and 16 apart; two int4 share a byte, so expected even numbers");
}

TEST(AttentionProblem, NamesPrefixesThatDoNotFit) {
  Choice choice;
  choice.prefix = 3;
  choice.lengths = {{1, 2}, {1, 2}};
  expect_problem_error(
      choice, [](auto& p) { p.prefixes[0].count = 4; }, "prefix 0 has 4 keys, but its spans hold 3");
  expect_problem_error(
      choice,
      [](auto& p) {
        p.prefixes[0].sequences = {0, 2};
      },
      "prefix 0 is of sequence 2, but the problem has 2");
  expect_problem_error(
      choice, [](auto& p) { p.prefixes.push_back(p.prefixes[0]); }, "prefix 1 is the second of sequence 0");
  expect_problem_error(
      choice, [](auto&) {}, "the backward takes no shared prefixes; the problem has 1");
}

TEST(AttentionProblem, NamesWhatTheBackwardCannotDo) {
  Choice choice;
  choice.key_value_dtype = DType::int8;
  expect_problem_error(
      choice, [](auto&) {}, "the backward takes keys and values of float32, bfloat16 or float16; they are int8");
  choice = plain;
  choice.span = 4;
  expect_problem_error(
      choice, [](auto&) {}, "the backward takes one span a sequence; sequence 0 has 2 and begins at row 0");
  float number = 0.0f;
  expect_gradient_error(
      plain, [&](auto& to) { to.bilinear = &number; },
      "a gradient of the bilinear matrix is asked for, but the problem has none");
  expect_gradient_error(
      plain, [&](auto& to) { to.direction = &number; },
      "a gradient of the direction is asked for, but the problem has none");
  expect_gradient_error(
      plain, [&](auto& to) { to.sinks = &number; }, "a gradient of the sinks is asked for, but the problem has none");
  expect_gradient_error(
      plain, [&](auto& to) { to.slopes = &number; }, "a gradient of slopes is asked for, but the problem has none");
  expect_gradient_error(
      plain, [&](auto& to) { to.relative = &number; },
      "a gradient of relative biases is asked for, but the problem has none");
  expect_gradient_error(
      plain, [&](auto& to) { to.bias = &number; }, "a gradient of the bias is asked for, but the problem has none");
  expect_gradient_error(
      plain, [&](auto& to) { to.parameters = {&number}; },
      "gradients of 1 parameters are asked for, but the problem has 0");
  expect_gradient_error(
      plain, [](auto& to) { to.key.rows = 6; }, "the keys' gradient is [6, 16] with rows 16 apart; expected [7, 16]");
  expect_gradient_error(
      plain, [](auto& to) { to.value.dtype = DType::bfloat16; }, "the values' gradient is bfloat16; expected float32");
}

TEST(AttentionSpec, PrintsItselfWhole) {
  AttentionSpec spec;
  EXPECT_EQ(spec.text(), "softmax of scaled_dot scores, mask everything");
  spec.score = Score::cosine;
  spec.normaliser = Normaliser::entmax15;
  spec.mask = causal() & window(4);
  spec.scale = 10.0f;
  spec.soft_cap = 30.0f;
  spec.dropout = 0.1f;
  spec.rule = score("halved", [](auto s, const auto&) noexcept { return 0.5f * s; });
  EXPECT_EQ(
      spec.text(),
      "entmax15 of cosine scores, mask causal & window(4), scale 10, soft cap 30, rule halved: 0.5 * score, dropout "
      "0.1");
}

}  // namespace

}  // namespace heed::attention
