#include "formats/gzip.h"

#include "formats/test_files.h"

namespace heed {
namespace {

std::string all_of(ByteReader reader) {
  std::string text;
  for (std::string_view chunk; !(chunk = reader.next()).empty();) text += chunk;
  EXPECT_EQ(reader.next(), "");
  return text;
}

/// Text that packs badly, so that the packed file has several chunks too.
std::string long_text() {
  std::string text;
  std::uint64_t state = 7;
  while (text.size() < 700'000) text += std::to_string(state = state * 6364136223846793005u + 1442695040888963407u);
  return text;
}

TEST(ByteReader, PlainAndGzipFilesGiveTheSameBytes) {
  const TestFolder folder;
  const std::string text = long_text();
  EXPECT_EQ(all_of(ByteReader(put(folder / "plain", text))), text);
  EXPECT_EQ(all_of(ByteReader(put(folder / "packed", gzip(text)))), text);
  EXPECT_EQ(all_of(ByteReader::of_bytes(gzip(text), "memory")), text);
}

TEST(ByteReader, MembersFollowEachOtherAndZerosMayPad) {
  const std::string text = long_text();
  EXPECT_EQ(all_of(ByteReader::of_bytes(gzip(text) + gzip("") + gzip("end"), "m")), text + "end");
  EXPECT_EQ(all_of(ByteReader::of_bytes(gzip("a") + std::string(1000, '\0'), "m")), "a");
}

TEST(ByteReader, EmptyFileHasNoChunk) {
  const TestFolder folder;
  EXPECT_EQ(all_of(ByteReader(put(folder / "empty", ""))), "");
  EXPECT_EQ(all_of(ByteReader(put(folder / "one", "\x1f"))), "\x1f");
  EXPECT_EQ(all_of(ByteReader::of_bytes(gzip(""), "m")), "");
}

TEST(ByteReader, GoesOnAtAnyUncompressedByte) {
  const TestFolder folder;
  const std::string text = long_text();
  const auto plain = put(folder / "plain", text), packed = put(folder / "packed", gzip(text));
  for (const std::size_t start :
       {std::size_t{0}, std::size_t{1}, std::size_t{262144}, std::size_t{400'001}, text.size()}) {
    for (const auto& path : {plain, packed}) {
      ByteReader reader(path, static_cast<std::int64_t>(start));
      EXPECT_EQ(reader.offset(), static_cast<std::int64_t>(start));
      const std::string_view chunk = reader.next();
      EXPECT_EQ(reader.offset(), static_cast<std::int64_t>(start + chunk.size()));
      std::string rest(chunk);
      EXPECT_EQ(rest + all_of(std::move(reader)), text.substr(start));
    }
  }
  const auto beyond = static_cast<std::int64_t>(text.size()) + 1;
  expect_error("plain: cannot go on at byte", [&] { ByteReader(plain, beyond); });
  expect_error("packed: cannot go on at byte", [&] { ByteReader(packed, beyond); });
}

TEST(ByteReader, TruncatedGzipNamesFileAndByte) {
  const TestFolder folder;
  const std::string packed = gzip(long_text());
  for (const std::size_t kept : {std::size_t{5}, packed.size() / 2, packed.size() - 1})
    expect_error(format("cut.gz: the gzip data ends early at byte {} of the file", kept),
                 [&] { all_of(ByteReader(put(folder / "cut.gz", packed.substr(0, kept)))); });
}

TEST(ByteReader, CorruptGzipNamesFileAndByte) {
  std::string packed = gzip("some text, some text, some text");
  packed[packed.size() - 6] = static_cast<char>(packed[packed.size() - 6] ^ 1);  // in the CRC
  expect_error("m: the gzip data is corrupt at byte ", [&] { all_of(ByteReader::of_bytes(packed, "m")); });
  expect_error("m: bytes that are not gzip follow the gzip data at byte ",
               [&] { all_of(ByteReader::of_bytes(gzip("a") + "garbage", "m")); });
}

TEST(ByteReader, MissingFileAndFolderAreErrors) {
  const TestFolder folder;
  expect_error("nothing.txt: cannot open the file: No such file or directory",
               [&] { ByteReader(folder / "nothing.txt"); });
  expect_error("is a folder; a file was expected", [&] { ByteReader(folder.path()); });
}

}  // namespace
}  // namespace heed
