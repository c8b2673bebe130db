#include "attention/plan.h"

#include <gtest/gtest.h>

#include <sstream>

#include "attention/call.h"
#include "attention/sample.h"

namespace heed::attention {

namespace {

/// The lines of an explanation that begin so, without that.
std::vector<std::string> lines_of(const AttentionPlan& plan, const std::string& beginning) {
  std::vector<std::string> lines;
  std::istringstream text(plan.explain());
  for (std::string line; std::getline(text, line);)
    if (line.rfind(beginning, 0) == 0) lines.push_back(line.substr(beginning.size()));
  return lines;
}

std::string line_of(const AttentionPlan& plan, const std::string& beginning) {
  const std::vector<std::string> lines = lines_of(plan, beginning);
  EXPECT_EQ(lines.size(), 1u) << beginning << " in\n" << plan.explain();
  return lines.empty() ? "" : lines[0];
}

TEST(AttentionPlan, ComputesWhatTheFunctionsCompute) {
  ThreadPool pool(2);
  for (const Normaliser normaliser : {Normaliser::softmax, Normaliser::entmax15}) {
    Choice choice;
    choice.spec.normaliser = normaliser;
    choice.spec.mask = causal();
    choice.lengths = {{70, 70}, {1, 30}};
    for (const kernels::InstructionSet set : kernels::available()) {
      Sample direct(choice, 1), planned(choice, 1);
      const std::string name(kernels::name_of(set));
      const AttentionPlan plan = heed::plan(planned.problem, {.backward = true, .instruction_set = name});
      EXPECT_EQ(plan.instruction_set(), name);
      direct.forward(pool, set);
      plan.forward(planned.output.view(), planned.log_sum_exp.floats(), pool);
      SampleGradients expected(direct), actual(planned);
      expected.backward(direct, pool, set);
      plan.backward(planned.output.view(), planned.log_sum_exp.floats(), planned.doutput.view(), actual.to, pool);
      const auto same = [](const Tensor& a, const Tensor& b) {
        return std::memcmp(a.data(), b.data(), static_cast<std::size_t>(a.bytes())) == 0;
      };
      EXPECT_TRUE(same(direct.output, planned.output));
      EXPECT_TRUE(same(expected.query, actual.query));
      EXPECT_TRUE(same(expected.key, actual.key));
      EXPECT_TRUE(same(expected.value, actual.value));
    }
  }
}

TEST(AttentionPlan, TellsWhichKernelTakesWhichSequences) {
  Choice choice;
  choice.heads = 4;
  choice.key_value_heads = 2;
  choice.lengths = {{600, 600}, {1, 900}, {2, 50}};
  choice.spec.mask = causal();
  const Sample sample(choice, 1);
  const AttentionPlan plan(sample.problem, {.backward = true, .instruction_set = "portable"});
  EXPECT_EQ(plan.explain().substr(0, plan.explain().find('\n')), choice.spec.text());
  EXPECT_EQ(line_of(plan, "shapes: "),
            "3 sequences of at most 600 query rows and 900 keys, 603 query rows in all; 4 heads over 2 key-value heads "
            "of widths 16 and 16");
  EXPECT_EQ(line_of(plan, "types: "),
            "queries float32, keys and values float32, outputs float32; instruction set portable");
  EXPECT_EQ(line_of(plan, "forward, decode: "),
            "2 sequences of at most 4 queries; keys and values are read once for all heads and queries, in 2 parts of "
            "at most 900 keys, whose results are joined");
  EXPECT_EQ(line_of(plan, "forward, blocks: "),
            "1 sequence in 20 pieces of at most 120 queries of a head, 768 keys at a time; fused");
  EXPECT_EQ(plan.forward_pieces(), 22);
  EXPECT_EQ(lines_of(plan, "backward: "),
            (std::vector<std::string>{
                "weights computed again, in 16 pieces of at most 512 queries of a head, 96 keys at a time; fused",
                "pieces that add to the same gradients follow one another in 6 chains, each block by block behind the "
                "one before"}));
  EXPECT_EQ(plan.backward_pieces(), 16);
  EXPECT_TRUE(lines_of(plan, "not decoded: ").empty());
  EXPECT_TRUE(lines_of(plan, "first: ").empty());
}

TEST(AttentionPlan, SaysWhatIsNotFusedAndWhy) {
  Choice choice;
  choice.lengths = {{100, 100}, {1, 40}};
  choice.spec.normaliser = Normaliser::sparsemax;
  choice.spec.score = Score::cosine;
  const Sample sample(choice, 1);
  const AttentionPlan plan(sample.problem, {.backward = true});
  EXPECT_EQ(line_of(plan, "forward, whole rows: "),
            "2 sequences in 8 pieces of at most 48 queries of a head with all their scores; not fused, since sparsemax "
            "weighs no key before it has seen all");
  EXPECT_EQ(line_of(plan, "not decoded: "),
            "1 sequence of few queries, since sparsemax needs a query's scores together, which decoding has apart");
  EXPECT_EQ(line_of(plan, "first: "),
            "queries and keys are divided by their norms, into float32 copies; kernels see products alone");
  EXPECT_EQ(line_of(plan, "backward: twice "),
            "over the keys, since what sparsemax subtracts from the gradient of each weight must be known first");
  EXPECT_GE(plan.shared_bytes(), sample.query.bytes() + sample.key.bytes());
}

TEST(AttentionPlan, TellsHowTheMaskIsEvaluated) {
  Choice choice;
  choice.heads = 1;
  choice.lengths = {{2048, 2048}};
  const auto line = [&](const Mask& mask) {
    choice.spec.mask = mask;
    return line_of(AttentionPlan(Sample(choice, 1).problem), "mask: ");
  };
  EXPECT_EQ(line({}), "none");
  const Mask band = causal() & window(1000);
  int blocks[3] = {};  // empty, full, partial
  for (std::int64_t query = 0; query < 2048; query += 60)
    for (std::int64_t key = 0; key < 2048; key += 768) {
      const std::int64_t end = std::min<std::int64_t>(key + 768, 2048);
      bool some = false, all = true;
      for (std::int64_t q = query; q < std::min<std::int64_t>(query + 60, 2048); ++q)
        for (std::int64_t k = key; k < end; ++k) {
          const bool allowed = band.allows(0, 0, q, k);
          some = some || allowed;
          all = all && allowed;
        }
      ++blocks[!some ? 0 : all ? 1 : 2];
    }
  EXPECT_EQ(line(band), format("1 band of keys along the queries, tested by the kernels themselves; of the blocks of "
                               "60 queries × 768 keys {} empty and skipped, {} full, {} partial",
                               blocks[0], blocks[1], blocks[2]));
  EXPECT_NE(line(dilated(3)).find("for vectors, asked of squares of 64 × 64 positions"), std::string::npos);
  choice.spec.mask = causal() & mask("odd", [](int, int, std::int64_t, std::int64_t key) noexcept { return key % 2; });
  const Sample sample(choice, 1);
  EXPECT_EQ(line_of(AttentionPlan(sample.problem), "slow: "),
            "the mask calls the function 'odd' for each pair; written as a generic lambda of (const auto& at) it runs "
            "on vectors");
}

TEST(AttentionPlan, TellsWhatIsMultipliedAndWhy) {
  Choice choice;
  choice.lengths = {{30, 30}};
  const auto line = [&](DType queries, DType keys, const std::string& set) {
    choice.query_dtype = queries;
    choice.key_value_dtype = keys;
    return line_of(AttentionPlan(Sample(choice, 1).problem, {.instruction_set = set}), "products: ");
  };
  EXPECT_EQ(line(DType::float32, DType::bfloat16, "portable"),
            "of float32, since queries are float32, keys and values bfloat16");
  EXPECT_EQ(line(DType::bfloat16, DType::bfloat16, "portable"), "of float32, since portable multiplies no bfloat16");
  if (kernels::available().front() != kernels::InstructionSet::avx512_bf16) return;
  EXPECT_EQ(line(DType::bfloat16, DType::bfloat16, "avx512_bf16"), "of pairs of bfloat16, summed in float32");
  choice.spec.score = Score::cosine;
  EXPECT_EQ(line(DType::bfloat16, DType::bfloat16, "avx512_bf16"),
            "of float32, since the copies that are made first are float32");
}

TEST(AttentionPlan, TellsOfRulesAndOfGradientsThatWait) {
  Choice choice;
  choice.lengths = {{30, 30}};
  choice.spec.rule = score("learned", [](auto s, const auto& at) noexcept { return s + Parameter(0)(at.head); });
  choice.parameters = {{2}};
  const Sample sample(choice, 1);
  const AttentionPlan plan(sample.problem, {.backward = true});
  EXPECT_NE(line_of(plan, "rule: 'learned' as a program of ").find("its derivative is 1"), std::string::npos);
  EXPECT_EQ(
      lines_of(plan, "backward: ").at(1),
      "pieces that add to the same gradients follow one another in 1 chain, each behind the whole of the one before");
}

template <class Function>
void expect_error(Function function, const std::string& expected) {
  try {
    function();
    ADD_FAILURE() << "no error; expected " << expected;
  } catch (const Error& error) {
    EXPECT_EQ(std::string(error.what()).substr(0, expected.size()), expected);
  }
}

TEST(AttentionPlan, RefusesWhatCannotBeComputed) {
  Choice choice;
  Sample sample(choice, 1);
  expect_error([&] { heed::plan(sample.problem, {.instruction_set = "avx3"}); },
               "plan: the instruction set 'avx3' is not here; there are ");
  expect_error([&] { heed::plan(sample.problem, {.output = DType::int8}); },
               "attention: output is int8; expected float32 or bfloat16");
  choice.key_value_dtype = DType::int8;
  const Sample quantised(choice, 1);
  heed::plan(quantised.problem);
  expect_error([&] { heed::plan(quantised.problem, {.backward = true}); },
               "attention: the backward takes keys and values of float32, bfloat16 or float16; they are int8");
  AttentionProblem wrong = sample.problem;
  wrong.heads = 3;
  expect_error([&] { heed::plan(wrong); }, "attention: query is [5, 32]; 3 heads of width 16 need a width of 48");
}

}  // namespace

}  // namespace heed::attention
