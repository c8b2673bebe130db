#include "formats/utf8.h"

#include <gtest/gtest.h>

namespace heed {
namespace {

TEST(Utf8, EveryCodePointComesBackFromItsBytes) {
  for (char32_t code = 0; code <= 0x10ffff; ++code) {
    if (code >= 0xd800 && code < 0xe000) continue;
    std::string text;
    append_utf8(text, code);
    const Utf8Character character = decode_utf8(text, 0);
    ASSERT_TRUE(character.valid) << static_cast<std::uint32_t>(code);
    ASSERT_EQ(character.code, code);
    ASSERT_EQ(static_cast<std::size_t>(character.bytes), text.size());
  }
}

TEST(Utf8, IllFormedBytesAreFoundWhereTheyStart) {
  for (const char* bad :
       {"\x80", "\xc0\x80", "\xc1\xbf", "\xe0\x9f\xbf", "\xed\xa0\x80", "\xed\xbf\xbf", "\xf0\x8f\xbf\xbf",
        "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff", "\xc3", "\xe2\x82", "\xf0\x9f\x98", "\xc3(", "\xe2\x28\xa1"}) {
    for (const std::string& before : {std::string(), std::string("abc"), std::string("Zürich und 東京 weiter")}) {
      EXPECT_EQ(find_bad_utf8(before + bad), before.size()) << bad;
      EXPECT_EQ(find_bad_utf8(before + bad + "abcdefghij"), before.size()) << bad;
    }
  }
  EXPECT_TRUE(valid_utf8("Zürich, 東京, \U0001f600, plain and more plain text"));
  EXPECT_TRUE(valid_utf8(""));
}

TEST(Utf8, EachIllFormedPieceBecomesOneReplacement) {
  const std::string r = "\ufffd";
  // The example of the Unicode standard, section 3.9, table 3-8.
  EXPECT_EQ(replace_bad_utf8("\xc0\xaf\xe0\x80\xbf\xf0\x81\x82\x41"), r + r + r + r + r + r + r + r + "A");
  EXPECT_EQ(replace_bad_utf8("\xf4\x91\x92\x93\xff\x41\x80\xbf\x42"), r + r + r + r + r + "A" + r + r + "B");
  EXPECT_EQ(replace_bad_utf8("\xe1\x80\xe2\xf0\x91\x92\xf1\xbf\x41"), r + r + r + r + "A");
  EXPECT_EQ(replace_bad_utf8("nothing wrong: ü"), "nothing wrong: ü");
}

TEST(Utf8, LengthCountsCharacters) {
  EXPECT_EQ(utf8_length("Zürich 東京 \U0001f600"), 11);
  EXPECT_EQ(to_utf32("ü東").size(), 2u);
  EXPECT_EQ(to_utf8(U"ü東\U0001f600"), "ü東\U0001f600");
  EXPECT_EQ(to_utf8(std::u32string{char32_t{0xd800}, char32_t{0x110000}}), "\ufffd\ufffd");
}

}  // namespace
}  // namespace heed
