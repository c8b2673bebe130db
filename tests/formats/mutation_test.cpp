// Inputs with bytes changed, doubled, dropped and cut, a fixed seed: the readers may throw an Error and nothing else.
// The fuzzers in fuzz/ go further.
#include <functional>
#include <random>

#include "formats/csv.h"
#include "formats/json_lines.h"
#include "formats/safetensors.h"
#include "formats/test_files.h"
#include "formats/utf8.h"

namespace heed {
namespace {

void expect_only_errors(const std::string& good, const std::function<void(const std::string&)>& read) {
  read(good);
  std::mt19937 random(20240501);
  const std::string_view pieces[] = {"\"",    ",", "\n",   "\r\n",     "{",
                                     "}",     "[", "]",    ":",        "\\u",
                                     "9",     "-", "\xff", "\xe2\x82", std::string_view("\0", 1),
                                     "\ufeff"};
  for (int round = 0; round < 2000; ++round) {
    std::string text = good;
    for (unsigned change = 0; change <= random() % 4 && !text.empty(); ++change) {
      const std::size_t at = random() % text.size();
      switch (random() % 5) {
        case 0:
          text[at] = static_cast<char>(random());
          break;
        case 1:
          text.erase(at, random() % 9);
          break;
        case 2:
          text.insert(at, pieces[random() % std::size(pieces)]);
          break;
        case 3:
          text.insert(at, text.substr(random() % text.size(), random() % 40));
          break;
        default:
          text.resize(at);
      }
    }
    try {
      read(text);
    } catch (const Error& error) {
      ASSERT_TRUE(std::string_view(error.what()).starts_with("x")) << error.what();
    }
  }
}

TEST(Mutation, LinesThrowOnlyErrors) {
  for (const bool packed : {false, true}) {
    const std::string text = "\ufeffplain\r\nZürich 東京\n\n\U0001f600 last";
    expect_only_errors(packed ? gzip(text) + gzip(text) : text, [](const std::string& mutated) {
      for (const BadBytes bad : {BadBytes::refuse, BadBytes::replace}) {
        LineReader reader(ByteReader::of_bytes(mutated, "x"), {.bad_bytes = bad, .longest = 64});
        for (std::string_view line; reader.next(line);) ASSERT_TRUE(valid_utf8(line));
      }
    });
  }
}

TEST(Mutation, CsvThrowsOnlyErrors) {
  expect_only_errors("label,text\r\n1,\"a, b\"\n2,\"two\nlines \"\"so\"\"\"\n3,c\n", [](const std::string& mutated) {
    for (const bool header : {true, false}) {
      CsvOptions options;
      options.header = header;
      CsvReader reader(LineReader(ByteReader::of_bytes(mutated, "x"), options.lines), options);
      while (reader.next()) ASSERT_GT(reader.size(), 0u);
    }
  });
}

TEST(Mutation, JsonLinesThrowOnlyErrors) {
  expect_only_errors("{\"text\": \"a \\u00fc \\n\", \"a\": {\"b\": -1.5e3}}\n{\"text\": \"\", \"a\": {\"b\": true}}\n",
                     [](const std::string& mutated) {
                       JsonLinesReader reader(LineReader(ByteReader::of_bytes(mutated, "x")), {"text", "a.b"});
                       while (reader.next()) ASSERT_EQ(reader.fields().size(), 2u);
                     });
}

TEST(Mutation, SafetensorsHeadersThrowOnlyErrors) {
  const TestFolder folder;
  Tensor numbers({2, 3});
  write_safetensors(folder / "x", {{"w", numbers}, {"b", Tensor({3}, DType::bfloat16)}}, {{"step", "1"}});
  expect_only_errors(contents(folder / "x"), [](const std::string& mutated) {
    const SafetensorsHeader header = parse_safetensors_header(mutated, "x");
    for (const SafetensorsEntry& entry : header.entries) {
      ASSERT_GE(entry.begin, 8);
      ASSERT_LE(entry.end, static_cast<std::int64_t>(mutated.size()));
      ASSERT_EQ(entry.end - entry.begin, entry.shape.elements() * size_of(entry.dtype));
    }
  });
}

}  // namespace
}  // namespace heed
