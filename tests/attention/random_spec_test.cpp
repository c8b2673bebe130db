#include <gtest/gtest.h>

#include <cstdlib>

#include "attention/compare.h"
#include "attention/random_choice.h"

namespace heed::attention {

namespace {

std::int64_t number_of(const char* variable, std::int64_t otherwise) {
  const char* text = std::getenv(variable);
  return text ? std::strtoll(text, nullptr, 10) : otherwise;
}

/// HEED_RANDOM_SPECS: how many instead; HEED_RANDOM_SEED: the first of them.
TEST(AttentionOfRandomSpecs, EqualsTheReferenceForwardAndBackwardOnEveryInstructionSet) {
  ThreadPool pool(2);
  const auto first = static_cast<std::uint64_t>(number_of("HEED_RANDOM_SEED", 0));
  const auto count = static_cast<std::uint64_t>(number_of("HEED_RANDOM_SPECS", 120));
  for (std::uint64_t seed = first; seed < first + count; ++seed) {
    const Choice choice = random_choice(seed);
    Comparison comparison(choice, seed);
    for (const kernels::InstructionSet set : kernels::available())
      EXPECT_EQ(comparison.difference_of(set, pool), "") << "seed " << seed << ": " << choice.text();
  }
}

/// Found by the fuzzer: sums that begin with what is added to are rounded more than those that begin with 0.
TEST(AttentionOfRandomSpecs, AddsManyQueriesToWhatTheGradientsHold) {
  ThreadPool pool(2);
  Choice choice;
  choice.spec = {.score = Score::cosine, .scale = -0.1f, .soft_cap = 2.0f};
  choice.head_width = choice.value_width = 33;
  choice.query_dtype = DType::bfloat16;
  choice.key_value_dtype = DType::float16;
  choice.gap = 1;
  choice.queries_at_end = false;
  choice.guarded = choice.accumulate = true;
  choice.lengths = {{130, 130}};
  Comparison comparison(choice, 0);
  for (const kernels::InstructionSet set : kernels::available()) EXPECT_EQ(comparison.difference_of(set, pool), "");
}

}  // namespace

}  // namespace heed::attention
