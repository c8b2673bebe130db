#include "formats/json_lines.h"

#include "formats/json_text.h"
#include "formats/test_files.h"

namespace heed {
namespace {

JsonLinesReader reader_of(std::string text, std::vector<std::string> keys) {
  return JsonLinesReader(LineReader(ByteReader::of_bytes(std::move(text), "x.jsonl")), std::move(keys));
}

TEST(JsonLinesReader, ChosenFieldsComeAsTextInTheOrderOfTheKeys) {
  JsonLinesReader reader = reader_of(
      "{\"label\": 3, \"text\": \"a\\n\\u00fc \\ud83d\\ude00\", \"other\": [1]}\n\n"
      "{\"text\": \"\", \"label\": -0.5}\n{\"text\":\"t\",\"label\":true}",
      {"text", "label"});
  ASSERT_TRUE(reader.next());
  EXPECT_EQ(reader.fields(), (std::vector<std::string>{"a\nü \U0001f600", "3"}));
  ASSERT_TRUE(reader.next());
  EXPECT_EQ(reader.line(), 3);
  EXPECT_EQ(reader.fields(), (std::vector<std::string>{"", "-0.5"}));
  ASSERT_TRUE(reader.next());
  EXPECT_EQ(reader[1], "true");
  EXPECT_FALSE(reader.next());
}

TEST(JsonLinesReader, DottedKeyLooksIntoObjects) {
  JsonLinesReader reader =
      reader_of(R"({"translation": {"de": "ja", "en": "yes"}, "a.b": "literal"})", {"translation.de", "a.b"});
  ASSERT_TRUE(reader.next());
  EXPECT_EQ(reader.fields(), (std::vector<std::string>{"ja", "literal"}));
}

TEST(JsonLinesReader, ErrorsNameFileLineAndKey) {
  const auto error = [](const std::string& line) {
    return error_of([&] {
      JsonLinesReader reader = reader_of("{\"text\": \"x\"}\n" + line, {"text"});
      while (reader.next()) {
      }
    });
  };
  EXPECT_EQ(error("{\"txt\": 1, \"b\": 2}"), "x.jsonl, line 2: no key \"text\"; the object has: b, txt");
  EXPECT_EQ(
      error("{\"text\": null}"),
      "x.jsonl, line 2: key \"text\" is JSON null; a string, a number, a boolean or a list of strings was expected");
  EXPECT_EQ(error("[1]"), "x.jsonl, line 2: a JSON object {…} was expected, this is a JSON array");
  EXPECT_EQ(error("{\"text\": \"a\\u0000\"}"),
            "x.jsonl, line 2: key \"text\" holds the character U+0000, which is not text");
  EXPECT_EQ(error("{\"text\": tru}").substr(0, 59), "x.jsonl, line 2: not a JSON object, at byte 13 of the line:");
  EXPECT_EQ(error("{\"text\": 1e999}"), "x.jsonl, line 2: not a JSON object: number overflow parsing '1e999'");
  EXPECT_NE(error("{\"text\": \"\\ud800\"}").find("line 2: not a JSON object"), std::string::npos);
}

TEST(JsonLinesReader, GoesOnAtAPlace) {
  const TestFolder folder;
  const auto path = put(folder / "x.jsonl.gz", gzip("{\"a\":1}\n{\"a\":2}\n{\"a\":3}\n"));
  JsonLinesReader first(path, {"a"});
  ASSERT_TRUE(first.next());
  JsonLinesReader second(path, {"a"}, {}, first.place());
  ASSERT_TRUE(second.next());
  EXPECT_EQ(second[0], "2");
  EXPECT_EQ(second.line(), 2);
}

TEST(JsonLinesReader, DeepNestingIsNoDanger) {
  const std::string deep = "{\"a\":" + std::string(300'000, '[') + std::string(300'000, ']') + "}";
  expect_error("key \"a\" is JSON array", [&] { reader_of(deep, {"a"}).next(); });
}

TEST(JsonQuote, EscapesWhatMustBe) {
  EXPECT_EQ(json_quote("a\"\\\n\x01ü"), "\"a\\\"\\\\\\n\\u0001ü\"");
  EXPECT_EQ(json_quote("\xff"), "\"\ufffd\"");
}

}  // namespace
}  // namespace heed
