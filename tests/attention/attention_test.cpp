#include <heed/attention.h>

#include "attention/sample.h"

namespace heed::attention {

namespace {

void expect_forward_and_backward(const Choice& choice, std::uint64_t seed, kernels::InstructionSet set,
                                 ThreadPool& pool) {
  SCOPED_TRACE(format("{} (seed {}, {})", choice, seed, kernels::name_of(set)));
  Sample sample(choice, seed);
  sample.output.fill(std::numeric_limits<float>::quiet_NaN());
  sample.forward(pool, set);
  const reference::Result expected = reference::forward(sample.problem);
  expect_close(sample.output, expected.output, epsilons_of(choice), "output");
  expect_close(sample.log_sum_exp, expected.log_sum_exp, epsilons_of(choice), "log-sum-exp");
  if (choice.span != 0) return;  // the backward takes one span
  SampleGradients gradients(sample);
  gradients.backward(sample, pool, set);
  const reference::Gradients back = reference::backward(sample.problem, sample.doutput_in_double());
  expect_close(gradients.query, back.query, 4 * epsilons_of(choice), "query's gradient");
  expect_close(gradients.key, back.key, 4 * epsilons_of(choice), "key's gradient");
  expect_close(gradients.value, back.value, 4 * epsilons_of(choice), "value's gradient");
  if (gradients.relative)
    expect_close(gradients.relative, back.relative, 4 * epsilons_of(choice), "relative's gradient");
}

std::vector<Mask> masks() {
  return {Mask(),
          causal(),
          causal() & window(9),
          causal() & (window(5) | first_keys(2)),
          (!causal()) | first_keys(3),
          window(20),
          mask("checkers",
               [](int batch, int head, std::int64_t q, std::int64_t k) { return (batch + head + q + k) % 3 != 0; }),
          causal(-4)};
}

Choice draw_choice(RandomKey key) {
  std::uint64_t next = 0;
  const auto pick = [&](auto... options) {
    const std::array values{options...};
    return values[static_cast<std::size_t>(uniform_index(key, next++, static_cast<std::int64_t>(values.size())))];
  };
  Choice choice;
  const std::vector<Mask> all = masks();
  choice.spec.mask = all[static_cast<std::size_t>(uniform_index(key, next++, static_cast<std::int64_t>(all.size())))];
  choice.spec.dropout = pick(0.0f, 0.0f, 0.3f);
  choice.spec.soft_cap = pick(0.0f, 0.0f, 2.0f);
  if (pick(0, 1)) choice.spec.scale = 0.3f;
  choice.key_value_heads = pick(1, 2);
  choice.heads = choice.key_value_heads * pick(1, 2, 3);
  choice.head_width = pick(1, 3, 16, 33, 64, 80);
  choice.value_width = pick(1, 3, 16, 33, 64, 80);
  choice.query_dtype = pick(DType::float32, DType::float32, DType::bfloat16);
  choice.key_value_dtype = pick(DType::float32, DType::float32, DType::bfloat16, DType::float16);
  choice.span = pick(0, 0, 16, 7);
  choice.slopes = pick(0, 0, 1) == 1;
  choice.reach = pick(-1, -1, 0, 4);
  choice.queries_at_end = pick(0, 1) == 1;
  choice.lengths.clear();
  const int sequences = pick(1, 2, 3);
  for (int i = 0; i < sequences; ++i) {
    const std::int64_t queries = pick(0, 1, 2, 7, 20, 63, 64, 65, 130);
    const std::int64_t keys = pick(0, 1, 2, 7, 20, 63, 65, 130, 200);
    choice.lengths.emplace_back(queries, pick(0, 1) ? queries : keys);
  }
  return choice;
}

class OnEachInstructionSet : public testing::TestWithParam<kernels::InstructionSet> {};
INSTANTIATE_TEST_SUITE_P(Attention, OnEachInstructionSet, testing::ValuesIn(kernels::available()),
                         [](const auto& test) { return std::string(kernels::name_of(test.param)); });

TEST_P(OnEachInstructionSet, EqualsTheReferenceForwardAndBackward) {
  ThreadPool pool(2);
  for (std::uint64_t seed = 0; seed < 60; ++seed)
    expect_forward_and_backward(draw_choice(RandomKey{17}.fold(seed)), seed, GetParam(), pool);
}

TEST_P(OnEachInstructionSet, EqualsTheReferenceOverSeveralBlocksOfKeys) {
  ThreadPool pool(2);
  for (const Mask& mask : masks()) {
    Choice choice;
    choice.spec.mask = mask;
    choice.heads = 1;
    choice.lengths = {{150, 450}, {3, 1300}};
    choice.head_width = choice.value_width = 8;
    expect_forward_and_backward(choice, 5, GetParam(), pool);
  }
}

}  // namespace

}  // namespace heed::attention
