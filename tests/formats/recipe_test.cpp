#include "formats/recipe.h"

#include <gtest/gtest.h>
#include <heed/error.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "formats/utf8.h"

namespace heed {
namespace {

std::string error_of(auto&& act) {
  try {
    act();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(RecipeText, GivesKeysInTheOrderOfTheFileWithTheirPlaces) {
  const RecipeText recipe =
      parse_recipe_text("task = \"translation\"\n[model]\n  width = 64\n  epsilon = 1e-6\n", "r.toml");
  ASSERT_EQ(recipe.entries.size(), 3u);
  EXPECT_EQ(recipe.entries[0].name(), "task");
  EXPECT_EQ(std::get<std::string>(recipe.entries[0].value), "translation");
  EXPECT_EQ(recipe.entries[1].name(), "model.width");
  EXPECT_EQ(recipe.entries[1].place, "r.toml, line 3, column 11");
  EXPECT_EQ(std::get<std::int64_t>(recipe.entries[1].value), 64);
  EXPECT_EQ(std::get<double>(recipe.entries[2].value), 1e-6);
  ASSERT_EQ(recipe.sections.size(), 1u);
  EXPECT_EQ(recipe.sections[0].name, "model");
}

TEST(RecipeText, TakesAByteOrderMarkAndWindowsLineEnds) {
  const RecipeText recipe = parse_recipe_text("\xef\xbb\xbftask = \"x\"\r\n[data]\r\ntrain = 'a'\r\n", "r.toml");
  ASSERT_EQ(recipe.entries.size(), 2u);
  EXPECT_EQ(std::get<std::string>(recipe.entries[1].value), "a");
}

TEST(RecipeText, AnEmptyTextHasNoKeys) { EXPECT_TRUE(parse_recipe_text("", "r.toml").entries.empty()); }

TEST(RecipeText, SaysWhatStandsWhereNoRecipeValueCan) {
  const RecipeText recipe =
      parse_recipe_text("[a]\nb = 2020-01-01\nc = [1, 2]\nd = {e = 1}\nf = ['x']\ng = true\n", "r.toml");
  std::vector<std::string> found;
  for (const RecipeEntry& entry : recipe.entries) found.push_back(entry.found());
  EXPECT_EQ(found, (std::vector<std::string>{"a date", "an array with a number in it", "a table", "a list of 1 text",
                                             "true"}));
}

TEST(RecipeText, ShortensALongTextInErrorsBetweenCharacters) {
  RecipeEntry entry;
  std::string text = "a";  // an odd start, so that the cut falls into a character
  for (int i = 0; i < 100; ++i) text += "é";
  entry.value = text;
  EXPECT_TRUE(entry.found().ends_with("é\"…")) << entry.found();
  EXPECT_LT(entry.found().size(), 90u);
}

TEST(RecipeText, NamesFileLineAndColumnOfASyntaxError) {
  EXPECT_TRUE(error_of([] {
                parse_recipe_text("[model]\nwidth = \n", "r.toml");
              }).starts_with("r.toml, line 2, column 9: this is not TOML: "));
  EXPECT_TRUE(error_of([] { parse_recipe_text("a = 1\na = 2\n", "r.toml"); }).starts_with("r.toml, line 2"));
  EXPECT_TRUE(error_of([] { parse_recipe_text("a = \"\xff\"\n", "r.toml"); }).starts_with("r.toml, line 1"));
  EXPECT_TRUE(error_of([] { parse_recipe_text(std::string("a\0b", 3), "r.toml"); }).starts_with("r.toml, line 1"));
}

TEST(RecipeText, SuggestsQuotesForABareWord) {
  const std::string error = error_of([] { parse_recipe_text("[a]\nb = fast # x\n", "r.toml"); });
  EXPECT_TRUE(error.ends_with("a text stands in quotes: \"fast\"")) << error;
}

TEST(RecipeText, RefusesAHeaderThatIsNoName) {
  for (const char* header : {"[é]", "[=]", "[a.é]", "[[é]]", "[\x01]"})
    EXPECT_TRUE(error_of([&] { parse_recipe_text(header, "r.toml"); }).starts_with("r.toml, line 1, column "))
        << header;
}

TEST(RecipeText, TakesEveryCharacterInTexts) {
  for (char32_t code = 0x80; code <= 0x10ffff; code += code < 0x11000 ? 1 : 0x101) {
    const std::string text = to_utf8({&code, 1});
    const RecipeText recipe = parse_recipe_text("a = \"" + text + "\"", "r.toml");
    ASSERT_EQ(std::get<std::string>(recipe.entries[0].value), text) << static_cast<std::uint32_t>(code);
  }
}

TEST(RecipeText, RefusesNestingWithoutEnd) {
  EXPECT_NE(error_of([] { parse_recipe_text("a = " + std::string(100000, '['), "r.toml"); }), "no error");
}

TEST(RecipeOverride, ReadsItsValueAsToml) {
  EXPECT_EQ(std::get<std::int64_t>(parse_override("model.width=64").value), 64);
  EXPECT_EQ(std::get<double>(parse_override("training.rate = 1e-3").value), 1e-3);
  EXPECT_EQ(std::get<bool>(parse_override("model.bias=false").value), false);
  EXPECT_EQ(std::get<std::string>(parse_override("task=\"a b\"").value), "a b");
  EXPECT_EQ(std::get<std::vector<std::string>>(parse_override("data.train=['a', \"b\"]").value),
            (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(parse_override("model.width=64").name(), "model.width");
  EXPECT_EQ(parse_override("task=x").name(), "task");
}

TEST(RecipeOverride, TakesABareWordAsText) {
  for (const char* word : {"corpus/a b.txt", "fast", "a = b", "it's", "1\nz = 2", ""})
    EXPECT_EQ(std::get<std::string>(parse_override(std::string("data.train=") + word).value), word);
}

TEST(RecipeOverride, RefusesWhatHasNoKeyOrABrokenList) {
  EXPECT_EQ(error_of([] { parse_override("rate"); }),
            "--set rate: expected section.key=value, for instance training.rate=0.001");
  EXPECT_TRUE(error_of([] { parse_override("=3"); }).starts_with("--set =3: expected section.key=value"));
  EXPECT_TRUE(
      error_of([] { parse_override("data.train=[a"); }).starts_with("--set data.train=[a: the value is not TOML"));
  EXPECT_EQ(error_of([] { parse_override("data.train=\xff"); }),
            "--set data.train=\xef\xbf\xbd: this is not UTF-8 text");
}

TEST(RecipeWriting, NumbersReadBackWithTheSameBits) {
  for (double number : {0.0, 1.0, -3.0, 0.1, 1e-8, 1e22, 1e300, 5e-324, 1.0 / 3, 12345678.9}) {
    const RecipeText recipe = parse_recipe_text("a = " + toml_number(number), "r.toml");
    EXPECT_EQ(std::get<double>(recipe.entries[0].value), number) << toml_number(number);
  }
  EXPECT_EQ(toml_number(1e-8), "1e-8");
  EXPECT_EQ(toml_number(3), "3.0");
  EXPECT_EQ(toml_number(-std::numeric_limits<double>::infinity()), "-inf");
}

TEST(RecipeWriting, TextsReadBackWhateverTheyHold) {
  std::string every;
  for (int byte = 0; byte < 128; ++byte) every += static_cast<char>(byte);
  for (const std::string& text : {every, std::string("é \"x\" \\ \xf0\x9f\x8e\x89"), std::string()}) {
    const RecipeText recipe = parse_recipe_text("a = " + toml_text(text), "r.toml");
    EXPECT_EQ(std::get<std::string>(recipe.entries[0].value), text);
  }
  EXPECT_TRUE(error_of([] { toml_text("a\xff"); }).starts_with("a recipe is UTF-8, but byte 2 of the text"));
}

}  // namespace
}  // namespace heed
