#include "kernels/dispatch.h"

#include <gtest/gtest.h>
#include <heed/error.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "base/cpu_features.h"

namespace heed::kernels {
namespace {

TEST(Dispatch, EveryProcessorHasThePortableKernelsLast) {
  ASSERT_FALSE(available().empty());
  EXPECT_EQ(available().back(), InstructionSet::portable);
  EXPECT_TRUE(std::is_sorted(available().begin(), available().end()));
}

bool has(InstructionSet set) { return std::find(available().begin(), available().end(), set) != available().end(); }

TEST(Dispatch, OffersWhatTheProcessorHas) {
  if (available().size() == 1) GTEST_SKIP() << "only the portable kernels are compiled in, or present";
  EXPECT_EQ(has(InstructionSet::avx2), cpu_features().avx2_fma);
  EXPECT_EQ(has(InstructionSet::avx512), cpu_features().avx512);
  EXPECT_EQ(has(InstructionSet::avx512_bf16), cpu_features().avx512_bf16 && cpu_features().avx512_vnni);
}

TEST(Dispatch, ChoosesTheBestUnlessOneIsForced) {
  const char* forced = std::getenv("HEED_ISA");
  if (forced && *forced)
    EXPECT_EQ(name_of(chosen()), forced);
  else
    EXPECT_EQ(chosen(), available().front());
}

/// What a fresh process prints to standard error when HEED_ISA has this value.
void choose_with(const char* value) {
  setenv("HEED_ISA", value, 1);
  try {
    std::fprintf(stderr, "chose %s\n", std::string(name_of(chosen())).c_str());
  } catch (const Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
  }
  std::exit(0);
}

TEST(Dispatch, TheEnvironmentForcesOne) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  for (const InstructionSet set : available()) {
    const std::string name(name_of(set));
    EXPECT_EXIT(choose_with(name.c_str()), testing::ExitedWithCode(0), "chose " + name);
  }
}

TEST(Dispatch, AnUnknownNameIsRefusedWithTheKnownOnes) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(choose_with("sse9"), testing::ExitedWithCode(0),
              "HEED_ISA=sse9: no such instruction set; expected avx512_bf16, avx512, avx2 or portable");
}

TEST(Dispatch, NamesWhatTheProcessorLacks) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  for (const InstructionSet set : {InstructionSet::avx512_bf16, InstructionSet::avx512, InstructionSet::avx2}) {
    if (has(set)) continue;
    const std::string name(name_of(set));
    EXPECT_EXIT(choose_with(name.c_str()), testing::ExitedWithCode(0),
                "HEED_ISA=" + name + ": this (processor lacks .*|build has only the portable kernels)");
  }
}

}  // namespace
}  // namespace heed::kernels
