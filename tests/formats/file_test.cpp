#include "formats/file.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <csignal>
#include <optional>

#include "formats/test_files.h"

namespace heed {
namespace {

namespace fs = std::filesystem;

void write_text(const fs::path& path, std::string_view text) {
  write_file_atomically(path, [&](Writer& writer) { writer.write(text); });
}

TEST(MappedFile, BytesOutliveItInATensor) {
  const TestFolder folder;
  Tensor kept;
  {
    const MappedFile file(put(folder / "x", "abcdefgh"));
    EXPECT_EQ(file.bytes(), "abcdefgh");
    kept = Tensor(file.storage(), file.storage()->data, {8}, DType::uint8);
    EXPECT_FALSE(kept.unique());
  }
  EXPECT_TRUE(kept.unique());
  fs::remove(folder / "x");
  EXPECT_EQ(kept.as<std::uint8_t>()[7], 'h');
}

TEST(MappedFile, RefusesWhatIsNotAFileWithBytes) {
  const TestFolder folder;
  expect_error("none: cannot open the file: No such file or directory", [&] { MappedFile(folder / "none"); });
  expect_error("empty: the file is empty", [&] { MappedFile(put(folder / "empty", "")); });
  expect_error("is a folder; a file was expected", [&] { MappedFile(folder.path()); });
  expect_error("/dev/null: is not a regular file", [&] { MappedFile("/dev/null"); });
}

TEST(WriteFileAtomically, WritesAndReplaces) {
  const TestFolder folder;
  const std::string big(300'001, 'b');
  write_text(folder / "x", "old");
  write_file_atomically(folder / "x", [&](Writer& writer) {
    writer.write("a");
    writer.write(big);
    writer.write("c");
    EXPECT_EQ(writer.bytes(), 300'003);
    EXPECT_EQ(contents(folder / "x"), "old");
  });
  EXPECT_EQ(contents(folder / "x"), "a" + big + "c");
  EXPECT_EQ(folder.size(), 1u);
}

TEST(WriteFileAtomically, FailureLeavesTheOldFileAlone) {
  const TestFolder folder;
  write_text(folder / "x", "old");
  expect_error("stop", [&] {
    write_file_atomically(folder / "x", [](Writer& writer) {
      writer.write("new");
      throw Error("stop");
    });
  });
  EXPECT_EQ(contents(folder / "x"), "old");
  EXPECT_EQ(folder.size(), 1u);
}

// A limit on the size of files stands for the full disk: writes fail half-way in the same manner.
TEST(WriteFileAtomically, FullDiskLeavesTheOldFileAloneAndNamesPathAndBytes) {
  const TestFolder folder;
  write_text(folder / "x", "old");
  rlimit before{};
  ::getrlimit(RLIMIT_FSIZE, &before);
  const rlimit small{100'000, before.rlim_max};
  const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  ::setrlimit(RLIMIT_FSIZE, &small);
  const std::string sentence = error_of([&] { write_text(folder / "x", std::string(500'000, 'n')); });
  ::setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, old_handler);
  EXPECT_NE(sentence.find("/x: cannot write after 100000 bytes: File too large"), std::string::npos) << sentence;
  EXPECT_EQ(contents(folder / "x"), "old");
  EXPECT_EQ(folder.size(), 1u);
}

TEST(WriteFileAtomically, DeviceIsWrittenDirectlyAndItsErrorIsSeen) {
  write_text("/dev/null", "gone");
  EXPECT_TRUE(fs::is_character_file("/dev/null"));
  EXPECT_EQ(
      error_of([] { write_text("/dev/full", "x"); }),
      "/dev/full: cannot write after 0 bytes: No space left on device; free some space, or write to another disk");
}

TEST(WriteFileAtomically, SymbolicLinkStaysALink) {
  const TestFolder folder;
  put(folder / "real", "old");
  fs::create_symlink("real", folder / "link");
  write_text(folder / "link", "new");
  EXPECT_TRUE(fs::is_symlink(folder / "link"));
  EXPECT_EQ(contents(folder / "real"), "new");
}

TEST(WriteFileAtomically, RefusesAFolderAndAMissingFolder) {
  const TestFolder folder;
  expect_error("is a folder; a file was expected", [&] { write_text(folder.path(), "x"); });
  expect_error("cannot be created: No such file or directory", [&] { write_text(folder / "none" / "x", "x"); });
}

TEST(WriteFileAtomically, KeepsThePermissionsOfTheOldFile) {
  const TestFolder folder;
  write_text(folder / "x", "old");
  fs::permissions(folder / "x", fs::perms::owner_read | fs::perms::owner_write);
  write_text(folder / "x", "new");
  EXPECT_EQ(fs::status(folder / "x").permissions(), fs::perms::owner_read | fs::perms::owner_write);
}

TEST(WriteFileAtomically, RemovesLeftoversOfKilledWritersButNotOfLivingOnes) {
  const TestFolder folder;
  put(folder / "x.partial-1", "half");
  put(folder / "y.partial-1", "of another");
  write_file_atomically(folder / "x", [&](Writer& outer) {
    outer.write("outer");
    write_text(folder / "x", "inner");  // another writer of the same file at the same time
  });
  EXPECT_EQ(contents(folder / "x"), "outer");
  EXPECT_FALSE(fs::exists(folder / "x.partial-1"));
  EXPECT_TRUE(fs::exists(folder / "y.partial-1"));
  EXPECT_EQ(folder.size(), 2u);
}

class FolderSwaps : public testing::TestWithParam<FolderSwap> {};

/// A folder of two files that tell whether they belong together.
void write_pair(const fs::path& path, const std::string& text, FolderSwap swap) {
  write_folder_atomically(
      path,
      [&](const fs::path& partial) {
        write_file(partial / "a", [&](Writer& writer) { writer.write(text); });
        fs::create_directory(partial / "inner");
        write_file(partial / "inner" / "b", [&](Writer& writer) { writer.write(text); });
      },
      swap);
}

std::optional<std::string> pair_of(const fs::path& path) {
  const std::string a = contents(path / "a"), b = contents(path / "inner" / "b");
  return a.empty() || a != b ? std::nullopt : std::optional(a);
}

TEST_P(FolderSwaps, NewFolderTakesThePlaceOfTheOld) {
  const TestFolder folder;
  for (const char* text : {"one", "two", "three"}) {
    write_pair(folder / "model/", text, GetParam());
    EXPECT_EQ(pair_of(folder / "model"), text);
    EXPECT_EQ(folder.size(), 1u);
  }
}

TEST_P(FolderSwaps, FailureLeavesTheOldFolderAlone) {
  const TestFolder folder;
  write_pair(folder / "model", "old", GetParam());
  expect_error("stop", [&] {
    write_folder_atomically(
        folder / "model",
        [&](const fs::path& partial) {
          put(partial / "a", "new");
          throw Error("stop");
        },
        GetParam());
  });
  EXPECT_EQ(pair_of(folder / "model"), "old");
  EXPECT_EQ(folder.size(), 1u);
}

TEST_P(FolderSwaps, KilledWriterLeavesAWholeFolder) {
  const TestFolder folder;
  const fs::path model = folder / "model";
  write_pair(model, "0", GetParam());
  for (int round = 1; round <= 25; ++round) {
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      for (int i = 0;; ++i) write_pair(model, std::to_string(round) + "-" + std::to_string(i), GetParam());
    }
    ::usleep(static_cast<useconds_t>(1000 + 1237 * round % 9000));
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    if (GetParam() == FolderSwap::two_renames) recover_folder(model);
    ASSERT_TRUE(pair_of(model)) << "round " << round;
  }
  write_pair(model, "last", GetParam());
  EXPECT_EQ(pair_of(model), "last");
  EXPECT_EQ(folder.size(), 1u);  // leftovers are gone
}

INSTANTIATE_TEST_SUITE_P(Both, FolderSwaps, testing::Values(FolderSwap::exchange, FolderSwap::two_renames),
                         [](const auto& swap) {
                           return swap.param == FolderSwap::exchange ? "Exchange" : "TwoRenames";
                         });

TEST(RecoverFolder, PutsThePreviousFolderBackOnlyWhenThereIsNoOther) {
  const TestFolder folder;
  EXPECT_FALSE(recover_folder(folder / "model"));
  fs::create_directory(folder / "model.previous");
  put(folder / "model.previous" / "a", "old");
  EXPECT_TRUE(recover_folder(folder / "model"));
  EXPECT_EQ(contents(folder / "model" / "a"), "old");

  fs::create_directory(folder / "model.previous");
  EXPECT_FALSE(recover_folder(folder / "model"));
  EXPECT_EQ(folder.size(), 1u);
}

}  // namespace
}  // namespace heed
