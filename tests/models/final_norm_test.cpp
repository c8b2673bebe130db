#include <gtest/gtest.h>
#include <heed/model.h>

namespace heed {
namespace {

std::int64_t final_gains(const std::string& norm_place, bool final_norm) {
  ModelConfig config;
  config.kind = "encoder-decoder";
  config.width = 8;
  config.heads = 2;
  config.layers = 1;
  config.norm_place = norm_place;
  config.final_norm = final_norm;
  const auto model = make_model(config, {.source = 5, .target = 7, .classes = 0});
  std::int64_t count = 0;
  for (const auto& [name, weight] : model->weights()) count += name.ends_with("final_norm.gain");
  return count;
}

TEST(FinalNorm, FollowsBothStacksUnlessPostNormStandsThere) {
  EXPECT_EQ(final_gains("pre", true), 2);
  EXPECT_EQ(final_gains("pre", false), 0);
  EXPECT_EQ(final_gains("post", true), 0);
  EXPECT_EQ(final_gains("post-final", true), 2);
}

}  // namespace
}  // namespace heed
