#include "decode/growing_text.h"

#include <gtest/gtest.h>

namespace heed {
namespace {

const std::vector<std::string> none;

TEST(GrowingText, HandsOutWhatIsNew) {
  GrowingText text(none);
  EXPECT_FALSE(text.update("a"));
  EXPECT_EQ(text.take(false), "a");
  EXPECT_FALSE(text.update("a big"));
  EXPECT_EQ(text.take(false), " big");
  EXPECT_EQ(text.take(false), "");
  EXPECT_EQ(text.take(true), "");
}

TEST(GrowingText, IsCutAtTheFirstStopString) {
  const std::vector<std::string> stops = {"stop", "\n", ""};
  GrowingText text(stops);
  EXPECT_TRUE(text.update("one\ntwo stop"));
  EXPECT_EQ(text.text(), "one");
  EXPECT_EQ(text.take(true), "one");
}

TEST(GrowingText, HoldsBackWhatMayBeginAStopString) {
  const std::vector<std::string> stops = {"END.", "DOT"};
  GrowingText text(stops);
  text.update("the E");
  EXPECT_EQ(text.take(false), "the ");
  text.update("the EN");
  EXPECT_EQ(text.take(false), "");
  text.update("the ENormous D");
  EXPECT_EQ(text.take(false), "ENormous ");
  text.update("the ENormous DO");
  EXPECT_EQ(text.take(true), "DO");

  GrowingText other(stops);
  EXPECT_FALSE(other.update("so EN"));
  EXPECT_EQ(other.take(false), "so ");
  EXPECT_TRUE(other.update("so END. And"));
  EXPECT_EQ(other.take(true), "");
  EXPECT_EQ(other.text(), "so ");
}

TEST(GrowingText, HoldsBackCharactersThatAreNotWhole) {
  GrowingText text(none);
  text.update("caf\xC3");
  EXPECT_EQ(text.take(false), "caf");
  text.update("caf\xC3\xA9");
  EXPECT_EQ(text.take(false), "\xC3\xA9");
  text.update("caf\xC3\xA9 \xEF\xBF\xBD");
  EXPECT_EQ(text.take(false), " ");
  text.update("caf\xC3\xA9 \xF0\x9F\x98\x80");
  EXPECT_EQ(text.take(false), "\xF0\x9F\x98\x80");
}

}  // namespace
}  // namespace heed
