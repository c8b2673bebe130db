#include <gtest/gtest.h>

#include "attention/linear_sample.h"
#include "support/differences.h"

namespace heed::attention::linear {

namespace {

double loss(const Sample& sample, const reference::Inputs& in) {
  const reference::Result result = reference::forward(sample.problem, in);
  double sum = 0.0;
  for (std::size_t i = 0; i < result.output.size(); ++i) sum += result.output[i] * sample.doutput.floats()[i];
  for (std::size_t i = 0; i < result.final_states.size(); ++i)
    sum += result.final_states[i] * sample.dfinal_states.floats()[i];
  return sum;
}

TEST(LinearAttentionReference, GradientsEqualFiniteDifferences) {
  for (const Choice& choice : choices({})) {
    SCOPED_TRACE(choice.text());
    const Sample sample(choice, 5);
    const reference::Inputs in = reference::inputs_of(sample.problem);
    const reference::Inputs gradients = reference::backward(sample.problem, in, Sample::in_double(sample.doutput),
                                                            Sample::in_double(sample.dfinal_states));
    for (const auto& [name, member] : {std::pair{"query", &reference::Inputs::query},
                                       {"key", &reference::Inputs::key},
                                       {"value", &reference::Inputs::value},
                                       {"decay", &reference::Inputs::decay},
                                       {"beta", &reference::Inputs::beta},
                                       {"initial states", &reference::Inputs::initial_states}}) {
      reference::Inputs moved = in;
      const std::vector<double> expected =
          test::differences(in.*member, [&, member = member](const std::vector<double>& x) {
            moved.*member = x;
            return loss(sample, moved);
          });
      ASSERT_EQ(expected.size(), (gradients.*member).size()) << name;
      for (std::size_t i = 0; i < expected.size(); ++i)
        EXPECT_NEAR((gradients.*member)[i], expected[i], 1e-9) << name << " " << i;
    }
  }
}

TEST(LinearAttentionReference, EqualsAttentionWithoutSoftmaxUnderTheLinearRule) {
  Choice choice;
  choice.lengths = {6};
  choice.states = false;
  const Sample sample(choice, 6);
  const reference::Inputs in = reference::inputs_of(sample.problem);
  const reference::Numbers output = reference::forward(sample.problem, in).output;
  for (std::size_t t = 0; t < 6; ++t)
    for (std::size_t head = 0; head < 4; ++head)
      for (std::size_t m = 0; m < 3; ++m) {
        double expected = 0.0;
        for (std::size_t s = 0; s <= t; ++s) {
          double score = 0.0;
          for (std::size_t d = 0; d < 5; ++d)
            score += in.query[t * 20 + head * 5 + d] * in.key[s * 10 + head / 2 * 5 + d];
          expected += score / std::sqrt(5.0) * in.value[s * 6 + head / 2 * 3 + m];
        }
        EXPECT_NEAR(output[t * 12 + head * 3 + m], expected, 1e-12);
      }
}

}  // namespace

}  // namespace heed::attention::linear
