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
  std::int64_t left = number_of("HEED_RANDOM_SPECS", 120);
  for (auto seed = static_cast<std::uint64_t>(number_of("HEED_RANDOM_SEED", 0)); left > 0; ++seed) {
    const Choice choice = random_choice(seed);
    if (!supported(choice)) continue;
    --left;
    Comparison comparison(choice, seed);
    for (const kernels::InstructionSet set : kernels::available())
      EXPECT_EQ(comparison.difference_of(set, pool), "") << "seed " << seed << ": " << choice.text();
  }
}

}  // namespace

}  // namespace heed::attention
