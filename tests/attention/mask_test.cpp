#include "attention/mask.h"

#include <gtest/gtest.h>
#include <heed/attention.h>

#include <cstring>
#include <functional>
#include <string>
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

Tensor bytes(Shape shape, std::uint64_t seed, DType type = DType::boolean) {
  Tensor tensor(shape, type);
  for (std::int64_t i = 0; i < tensor.elements(); ++i)
    static_cast<std::uint8_t*>(tensor.data())[i] = bits(RandomKey{seed}, static_cast<std::uint64_t>(i)) >> 31 != 0;
  return tensor;
}

/// Traced rules that are bands.
std::vector<Mask> masks_of_comparisons() {
  return {mask("causal", [](const auto& at) noexcept { return at.key <= at.query; }),
          mask("later", [](const auto& at) noexcept { return at.query + 1 < at.key - 1.5f; }),
          mask("window", [](const auto& at) noexcept { return abs(at.query - at.key) < 3; }),
          mask("far", [](const auto& at) noexcept { return !(abs(at.key - at.query) <= 2) || at.key < 2; }),
          mask("far", [](const auto& at) noexcept { return abs(at.key - at.query + 1) >= 2.5f; }),
          mask("not the diagonal", [](const auto& at) noexcept { return at.key != at.query && at.key >= 2; }),
          mask("diagonal", [](const auto& at) noexcept { return at.key - at.query == 1; }),
          mask("between", [](const auto& at) noexcept { return 3 < at.key && -at.key > -7; }),
          mask("never", [](const auto& at) noexcept { return at.key < at.key; }),
          mask("always", [](const auto&) noexcept { return Condition(true); })};
}

/// Masks that are no bands, over positions from 0 to 11, two batches and two heads.
std::vector<Mask> masks_of_tables() {
  const Table table(Tensor::from({0, 0, 1, 1, 1, 3, 3, 2, 2, 2, 5, 5}));
  return {
      dilated(1),
      dilated(3),
      documents({4, 4, 4, -1, -1, 7, 7, 7, 7, 4, 4}),
      key_lengths({3, 7}),
      key_lengths({5}),
      allowed(bytes({12, 12}, 1)),
      allowed(bytes({7, 12}, 2, DType::uint8)),
      allowed(bytes({2, 12, 1}, 3)),
      allowed(bytes({2, 1, 1, 9}, 4)),
      blocks(bytes({3, 3}, 5), 4),
      blocks(bytes({2, 4, 4}, 6), 3),
      mask("same", [=](const auto& at) noexcept { return table(at.query) == table(at.key); }),
      mask("near", [=](const auto& at) noexcept { return abs(table(at.query) - table(at.key)) < 2 + at.head; }),
      mask("halves", [](const auto& at) noexcept { return floor(at.query / 2) >= floor(at.key / 3) - at.batch; }),
      mask("odd", [](const auto& at) noexcept { return sqrt(at.query + 4) > log(at.key + 1) || exp(-at.key) > 0.1f; }),
      mask("plain", [](int batch, int head, std::int64_t q, std::int64_t k) noexcept {
        return (batch + head + q + k) % 3 != 0;
      })};
}

void expect_covers(const Mask& mask, bool negative_positions) {
  for (int place = 0; place < 4; ++place)
    for (std::int64_t q0 = negative_positions ? -2 : 0; q0 < 12; ++q0)
      for (std::int64_t q1 = q0 + 1; q1 < 13; q1 += 2)
        for (std::int64_t k0 = 0; k0 < 12; ++k0)
          for (std::int64_t k1 = k0 + 1; k1 < 13; k1 += 3) {
            int allowed = 0;
            for (std::int64_t q = q0; q < q1; ++q)
              for (std::int64_t k = k0; k < k1; ++k) allowed += mask.allows(place / 2, place % 2, q, k);
            const Mask::Cover cover = mask.cover(place / 2, place % 2, q0, q1, k0, k1);
            if (cover == Mask::Cover::empty) {
              ASSERT_EQ(allowed, 0) << mask.text();
            }
            if (cover == Mask::Cover::full) {
              ASSERT_EQ(allowed, (q1 - q0) * (k1 - k0)) << mask.text();
            }
          }
}

TEST(Mask, PrintsAsItIsWritten) {
  EXPECT_EQ((causal() & (window(1024) | first_keys(4))).text(), "causal & (window(1024) | first_keys(4))");
  EXPECT_EQ(((causal() & window(8)) | !first_keys(4)).text(), "causal & window(8) | !first_keys(4)");
  EXPECT_EQ((!(causal(3) | window(8))).text(), "!(causal(3) | window(8))");
  EXPECT_EQ(
      (causal() & mask("same sentence", [](int, int, std::int64_t, std::int64_t) noexcept { return true; })).text(),
      "causal & same sentence");
  EXPECT_EQ(Mask().text(), "everything");
  EXPECT_EQ((dilated(3) & documents({1, 1, 2}) & key_lengths({4, 5})).text(),
            "dilated(3) & documents(3 positions) & key_lengths(2 sequences)");
  EXPECT_EQ((allowed(bytes({2, 5, 7}, 1)) | blocks(bytes({3, 3}, 1), 64)).text(),
            "allowed([2, 5, 7]) | blocks([3, 3] of 64)");
}

TEST(Mask, IsEqualWhenItsStructureIs) {
  const auto rule = [](int, int, std::int64_t q, std::int64_t k) noexcept { return q == k; };
  EXPECT_EQ(causal() & window(4), causal() & window(4));
  EXPECT_FALSE((causal() & window(4)) == (causal() | window(4)));
  EXPECT_FALSE(causal() == causal(1));
  EXPECT_EQ(mask("diagonal", rule), mask("diagonal", rule));
  EXPECT_FALSE(mask("diagonal", rule) == mask("other", rule));
  EXPECT_EQ(causal() & Mask(), causal());
  const auto near = [](float width) {
    return mask("near", [width](const auto& at) noexcept { return abs(at.query - at.key) < width; });
  };
  EXPECT_EQ(near(3), near(3));
  EXPECT_FALSE(near(3) == near(4));
  EXPECT_EQ(allowed(bytes({5, 5}, 1)), allowed(bytes({5, 5}, 1)));
  EXPECT_FALSE(allowed(bytes({5, 5}, 1)) == allowed(bytes({5, 5}, 2)));
  EXPECT_EQ(documents({1, 1, 2}), documents({8, 8, 9}));  // the same documents under other names
  EXPECT_FALSE(documents({1, 1, 2}) == documents({1, 2, 2}));
  EXPECT_TRUE((causal() | Mask()).everything());
}

TEST(Mask, RefusesARuleWithoutAFunction) {
  EXPECT_THROW(mask("nothing", static_cast<bool (*)(int, int, std::int64_t, std::int64_t) noexcept>(nullptr)), Error);
}

TEST(Mask, CoverAgreesWithEveryElement) {
  for (const Mask& mask : masks_of_primitives()) expect_covers(mask, true);
  for (const Mask& mask : masks_of_comparisons()) expect_covers(mask, true);
  const std::vector<Mask> tables = masks_of_tables();
  for (std::size_t i = 0; i < tables.size(); ++i) {
    expect_covers(tables[i], true);
    expect_covers((!tables[i]) | (tables[(i * 5 + 1) % tables.size()] & causal()), false);
  }
}

TEST(Mask, TracedRulesKnowTheirBlocksAsTheBuiltInOnesDo) {
  const Mask causal_rule = mask("causal", [](const auto& at) noexcept { return at.key <= at.query + 2; });
  const Mask window_rule = mask("window", [](const auto& at) noexcept { return abs(at.query - at.key) < 5; });
  const Mask first_rule = mask("first", [](const auto& at) noexcept { return at.key < 4; });
  for (std::int64_t q0 = 0; q0 < 12; ++q0)
    for (std::int64_t q1 = q0 + 1; q1 < 14; ++q1)
      for (std::int64_t k0 = 0; k0 < 12; ++k0)
        for (std::int64_t k1 = k0 + 1; k1 < 14; ++k1) {
          ASSERT_EQ(causal_rule.cover(0, 0, q0, q1, k0, k1), causal(2).cover(0, 0, q0, q1, k0, k1));
          ASSERT_EQ(window_rule.cover(0, 0, q0, q1, k0, k1), window(5).cover(0, 0, q0, q1, k0, k1));
          ASSERT_EQ(first_rule.cover(0, 0, q0, q1, k0, k1), first_keys(4).cover(0, 0, q0, q1, k0, k1));
        }
}

TEST(Mask, CoverIsExactForTables) {
  std::vector<std::int32_t> ids(1000);
  for (std::size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<std::int32_t>(i / 100);
  const Mask packed = documents(ids);
  EXPECT_EQ(packed.cover(0, 0, 100, 200, 100, 200), Mask::Cover::full);
  EXPECT_EQ(packed.cover(0, 0, 100, 200, 200, 1000), Mask::Cover::empty);
  EXPECT_EQ(packed.cover(0, 0, 100, 201, 100, 200), Mask::Cover::partial);
  EXPECT_EQ(packed.cover(0, 0, 1000, 1100, 0, 1100), Mask::Cover::empty);
  EXPECT_EQ(key_lengths({10, 20}).cover(1, 0, 0, 5, 10, 20), Mask::Cover::full);
  EXPECT_EQ(key_lengths({10, 20}).cover(0, 0, 0, 5, 10, 20), Mask::Cover::empty);
  Tensor pattern({2, 2}, DType::boolean);
  static_cast<std::uint8_t*>(pattern.data())[2] = 1;
  EXPECT_EQ(blocks(pattern, 64).cover(0, 0, 64, 128, 0, 64), Mask::Cover::full);
  EXPECT_EQ(blocks(pattern, 64).cover(0, 0, 0, 128, 64, 128), Mask::Cover::empty);
  EXPECT_EQ(blocks(pattern, 64).cover(0, 0, 0, 128, 0, 64), Mask::Cover::partial);
  Tensor table({128, 128}, DType::boolean);
  std::memset(table.data(), 1, 64 * 128);
  EXPECT_EQ(allowed(table).cover(0, 0, 0, 64, 0, 128), Mask::Cover::full);
  EXPECT_EQ(allowed(table).cover(0, 0, 64, 128, 3, 99), Mask::Cover::empty);
  EXPECT_EQ(dilated(64).cover(0, 0, 130, 140, 70, 120), Mask::Cover::partial);
  EXPECT_EQ(dilated(64).cover(0, 0, 130, 140, 80, 120), Mask::Cover::empty);
}

std::string message_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(Mask, RefusesWhatMakesNoMask) {
  EXPECT_EQ(message_of([] { window(0); }), "window: the width is 0; expected 1 or more");
  EXPECT_EQ(message_of([] { first_keys(-1); }), "first_keys: the count is -1; expected 0 or more");
  EXPECT_EQ(message_of([] { dilated(0); }), "dilated: the stride is 0; expected 1 or more");
  EXPECT_EQ(message_of([] { documents({}); }), "documents: there are no ids; expected one a position");
  EXPECT_EQ(message_of([] { key_lengths({}); }), "key_lengths: there are no lengths; expected one a sequence");
  EXPECT_EQ(message_of([] { key_lengths({3, -1}); }), "key_lengths: length 1 is -1; expected 0 to 2147483647");
  EXPECT_EQ(message_of([] { allowed(bytes({5}, 1)); }),
            "allowed: the tensor is [5], of 1 dimensions; expected [queries, keys] to [batch, heads, queries, keys]");
  EXPECT_EQ(message_of([] {
              allowed(bytes({1, 1, 1, 2, 5}, 1));
            }),
            "allowed: the tensor is [1, 1, 1, 2, 5], of 5 dimensions; expected [queries, keys] to [batch, heads, "
            "queries, keys]");
  EXPECT_EQ(message_of([] { allowed(Tensor({5, 5})); }), "allowed: the tensor is float32; expected boolean or uint8");
  EXPECT_EQ(message_of([] {
              allowed(Tensor({0, 5}, DType::boolean));
            }),
            "allowed: the tensor is [0, 5], without elements");
  EXPECT_EQ(message_of([] { blocks(bytes({5, 5}, 1), 0); }), "blocks: the size is 0; expected 1 or more");
  const auto check = [](const Mask& mask) { return message_of([&] { attention::check_mask(mask, 3, 8); }); };
  EXPECT_EQ(check(causal() & allowed(bytes({4, 5, 5}, 1))),
            "attention: the mask's allowed([4, 5, 5]) has 4 heads, the call has 8; give 1 or 8");
  EXPECT_EQ(check(!allowed(bytes({2, 1, 5, 5}, 1))),
            "attention: the mask's allowed([2, 1, 5, 5]) has 2 sequences, the call has 3; give 1 or 3");
  EXPECT_EQ(check(key_lengths({1, 2})),
            "attention: the mask's key_lengths has 2 lengths, the call has 3 sequences; give one, or one each");
  EXPECT_EQ(check(allowed(bytes({3, 8, 5, 5}, 1)) | key_lengths({1}) | key_lengths({1, 2, 3})), "");
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
  std::vector<Mask> masks = masks_of_primitives();
  for (const Mask& mask : masks_of_comparisons()) {
    masks.push_back(mask);
    masks.push_back((!mask) | (causal() & window(2)));
  }
  for (const Mask& mask : masks) {
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
