#include <gtest/gtest.h>
#include <heed/attention.h>

#include <vector>

#include "attention/bands.h"

namespace heed {

namespace {

std::vector<Mask> masks_of_primitives() {
  return {Mask(),
          causal(),
          causal(2),
          window(3),
          window(1),
          first_keys(2),
          causal() & window(4),
          causal() & (window(4) | first_keys(2)),
          !causal(),
          !(causal() & window(4)),
          !Mask(),
          !(first_keys(3) | window(2)),
          !!causal(-1)};
}

TEST(Mask, PrintsAsItIsWritten) {
  EXPECT_EQ((causal() & (window(1024) | first_keys(4))).text(), "causal & (window(1024) | first_keys(4))");
  EXPECT_EQ(((causal() & window(8)) | !first_keys(4)).text(), "causal & window(8) | !first_keys(4)");
  EXPECT_EQ((!(causal(3) | window(8))).text(), "!(causal(3) | window(8))");
  EXPECT_EQ(
      (causal() & mask("same sentence", [](int, int, std::int64_t, std::int64_t) noexcept { return true; })).text(),
      "causal & same sentence");
  EXPECT_EQ(Mask().text(), "everything");
}

TEST(Mask, IsEqualWhenItsStructureIs) {
  const auto rule = [](int, int, std::int64_t q, std::int64_t k) noexcept { return q == k; };
  EXPECT_EQ(causal() & window(4), causal() & window(4));
  EXPECT_FALSE((causal() & window(4)) == (causal() | window(4)));
  EXPECT_FALSE(causal() == causal(1));
  EXPECT_EQ(mask("diagonal", rule), mask("diagonal", rule));
  EXPECT_FALSE(mask("diagonal", rule) == mask("other", rule));
  EXPECT_EQ(causal() & Mask(), causal());
  EXPECT_TRUE((causal() | Mask()).everything());
}

TEST(Mask, RefusesARuleWithoutAFunction) {
  EXPECT_THROW(mask("nothing", static_cast<bool (*)(int, int, std::int64_t, std::int64_t) noexcept>(nullptr)), Error);
}

TEST(Mask, CoverAgreesWithEveryElement) {
  for (const Mask& mask : masks_of_primitives())
    for (std::int64_t q0 = -2; q0 < 9; ++q0)
      for (std::int64_t q1 = q0 + 1; q1 < 10; q1 += 2)
        for (std::int64_t k0 = 0; k0 < 9; ++k0)
          for (std::int64_t k1 = k0 + 1; k1 < 10; k1 += 3) {
            int allowed = 0;
            for (std::int64_t q = q0; q < q1; ++q)
              for (std::int64_t k = k0; k < k1; ++k) allowed += mask.allows(0, 0, q, k);
            const Mask::Cover cover = mask.cover(0, 0, q0, q1, k0, k1);
            if (cover == Mask::Cover::empty) {
              EXPECT_EQ(allowed, 0) << mask.text();
            }
            if (cover == Mask::Cover::full) {
              EXPECT_EQ(allowed, (q1 - q0) * (k1 - k0)) << mask.text();
            }
          }
}

TEST(Mask, CoverKnowsEmptyAndFullBlocksOfASlidingWindow) {
  const Mask sliding = causal() & window(64);
  EXPECT_EQ(sliding.cover(0, 0, 0, 64, 64, 128), Mask::Cover::empty);
  EXPECT_EQ(sliding.cover(0, 0, 200, 264, 0, 64), Mask::Cover::empty);
  EXPECT_EQ(sliding.cover(0, 0, 100, 110, 90, 100), Mask::Cover::full);
  EXPECT_EQ(sliding.cover(0, 0, 100, 110, 100, 110), Mask::Cover::partial);
  EXPECT_EQ((!sliding).cover(0, 0, 0, 64, 64, 128), Mask::Cover::full);
}

TEST(Mask, BandsAllowWhatTheMaskAllows) {
  for (const Mask& mask : masks_of_primitives()) {
    const auto bands = attention::bands_of(mask);
    ASSERT_TRUE(bands) << mask.text();
    for (std::int64_t q = -3; q < 12; ++q)
      for (std::int64_t k = 0; k < 12; ++k) {
        bool allowed = false;
        for (int i = 0; i < bands->count; ++i) {
          const auto& band = bands->band[i];
          allowed |= k >= q + band.low && k >= band.first && k < q + band.high && k < band.end;
        }
        EXPECT_EQ(allowed, mask.allows(0, 0, q, k)) << mask.text() << " at query " << q << ", key " << k;
      }
  }
  EXPECT_FALSE(
      attention::bands_of(causal() & mask("any", [](int, int, std::int64_t, std::int64_t) noexcept { return true; })));
}

}  // namespace

}  // namespace heed
