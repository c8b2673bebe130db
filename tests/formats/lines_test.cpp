#include "formats/lines.h"

#include <vector>

#include "formats/test_files.h"
#include "formats/utf8.h"

namespace heed {
namespace {

LineReader reader_of(std::string text, LineOptions options = {}) {
  return LineReader(ByteReader::of_bytes(std::move(text), "x.txt"), options);
}

std::vector<std::string> lines_of(LineReader reader) {
  std::vector<std::string> lines;
  for (std::string_view line; reader.next(line);) lines.emplace_back(line);
  EXPECT_EQ(reader.line(), static_cast<std::int64_t>(lines.size()));
  return lines;
}

using Lines = std::vector<std::string>;

TEST(LineReader, LinesComeWithoutTheirEnds) {
  EXPECT_EQ(lines_of(reader_of("a\nb\r\n\nc")), (Lines{"a", "b", "", "c"}));
  EXPECT_EQ(lines_of(reader_of("a\n")), (Lines{"a"}));
  EXPECT_EQ(lines_of(reader_of("\n\r\n")), (Lines{"", ""}));
  EXPECT_EQ(lines_of(reader_of("a\rb\r")), (Lines{"a\rb\r"}));
  EXPECT_EQ(lines_of(reader_of("")), Lines{});
}

TEST(LineReader, ByteOrderMarkIsDroppedAtTheStartOnly) {
  EXPECT_EQ(lines_of(reader_of("\ufeffa\n\ufeffb\n")), (Lines{"a", "\ufeffb"}));
  EXPECT_EQ(lines_of(reader_of("\ufeff")), Lines{});
  EXPECT_EQ(lines_of(reader_of("\ufeff\n")), Lines{""});
}

TEST(LineReader, GivesTheLineEndItTookOff) {
  LineReader reader = reader_of("a\r\nb\nc");
  std::string_view line;
  for (const std::string_view end : {"\r\n", "\n", ""}) {
    ASSERT_TRUE(reader.next(line));
    EXPECT_EQ(reader.line_end(), end);
  }
}

TEST(LineReader, BadByteIsRefusedWithLineColumnAndRemedy) {
  EXPECT_EQ(
      error_of([] { lines_of(reader_of("gut\nüü\xe4 \n")); }),
      "x.txt, line 2, column 3: byte 0xe4 is not UTF-8; save the file as UTF-8, or set data.bad_bytes = \"replace\"");
  expect_error("line 1, column 1: byte 0xed", [] { lines_of(reader_of("\xed\xa0\x80")); });
}

TEST(LineReader, BadBytesAreReplacedWhenAsked) {
  EXPECT_EQ(lines_of(reader_of("a\xff z\nok\n", {.bad_bytes = BadBytes::replace})), (Lines{"a\ufffd z", "ok"}));
}

TEST(LineReader, NulByteIsRefusedAlways) {
  const std::string text("ok\nü\0x", 7);
  for (const BadBytes bad : {BadBytes::refuse, BadBytes::replace})
    expect_error("x.txt, line 2, column 2: byte 0x00 (NUL) is not text",
                 [&] { lines_of(reader_of(text, {.bad_bytes = bad})); });
}

TEST(LineReader, LongestLineIsTakenAndALongerOneRefused) {
  for (const std::string end : {"", "\n", "\r\n"}) {
    EXPECT_EQ(lines_of(reader_of("\ufeff" + std::string(10, 'x') + end, {.longest = 10})), Lines{std::string(10, 'x')});
    expect_error("x.txt, line 2: the line is longer than 10 bytes",
                 [&] { lines_of(reader_of("a\n" + std::string(11, 'x') + end, {.longest = 10})); });
  }
}

TEST(LineReader, LineOfAMegabyteIsTakenByDefaultAndALongerOneRefusedInTime) {
  const TestFolder folder;
  const std::string megabyte(std::size_t{1} << 20, 'y');
  EXPECT_EQ(lines_of(LineReader(put(folder / "long", megabyte + "\nz"))), (Lines{megabyte, "z"}));
  expect_error("line 1: the line is longer than 1048576 bytes",
               [&] { lines_of(LineReader(put(folder / "longer", megabyte + megabyte))); });
}

TEST(LineReader, GoesOnAtAPlace) {
  const TestFolder folder;
  std::string text = "\ufeff";
  for (int i = 0; i < 30'000; ++i) text += "line " + std::to_string(i) + (i % 3 ? "\n" : "\r\n");
  for (const auto& path : {put(folder / "plain", text), put(folder / "packed.gz", gzip(text))}) {
    const Lines lines = lines_of(LineReader(path));
    ASSERT_EQ(lines.size(), 30'000u);
    LineReader first(path);
    std::string_view line;
    for (int i = 0; i < 20'001; ++i) ASSERT_TRUE(first.next(line));
    LineReader second(path, {}, first.place());
    ASSERT_TRUE(second.next(line));
    EXPECT_EQ(line, "line 20001");
    EXPECT_EQ(second.line(), 20'002);
    ASSERT_TRUE(first.next(line));
    EXPECT_EQ(first.place(), second.place());
  }
}

TEST(LineReader, ReadsTheMultilingualDataWhole) {
  const auto german = shared_file("mt/multi30k/train.de.gz");
  SKIP_WITHOUT(german);
  EXPECT_EQ(lines_of(LineReader(german)).size(), 29'000u);
}

TEST(LineReader, TrecHasBytesThatAreNotUtf8) {
  const auto trec = shared_file("classification/trec/train.txt.gz");
  SKIP_WITHOUT(trec);
  expect_error("is not UTF-8; save the file as UTF-8, or set data.bad_bytes", [&] { lines_of(LineReader(trec)); });
  EXPECT_EQ(lines_of(LineReader(trec, {.bad_bytes = BadBytes::replace})).size(), 5452u);
}

}  // namespace
}  // namespace heed
