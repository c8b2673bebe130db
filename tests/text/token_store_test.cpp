#include "text/token_store.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cstring>
#include <limits>
#include <numeric>

#include "formats/test_files.h"
#include "formats/utf8.h"

namespace heed {
namespace {

using Ids = std::vector<std::int32_t>;

class Store : public testing::Test {
 protected:
  std::filesystem::path file(const std::string& name, std::string_view text) { return put(folder_ / name, text); }
  /// Characters: "\n" 3, a 4, b 5, c 6, …
  TextEncoder encoder(Task task, std::string_view characters = "\nabcdef") {
    VocabularyConfig config;
    config.kind = "character";
    config.size = 200000;
    const NextText next = [characters, given = false](std::string_view& text) mutable {
      text = characters;
      return !std::exchange(given, true);
    };
    const auto vocabulary = train_vocabulary(config, next);
    return {.task = task, .source = vocabulary, .target = vocabulary, .labels = Labels({"no", "yes"})};
  }
  TokenStore open(const TextEncoder& encoder, const DataFiles& files, std::int64_t max_length = 100) {
    return open_token_store(folder_ / "store", encoder, config_, files, max_length,
                            [&](std::int64_t, std::int64_t) { ++builds_; });
  }
  TestFolder folder_;
  DataConfig config_;
  int builds_ = 0;
};

TEST_F(Store, HoldsTranslationsInOrder) {
  const TokenStore store = open(encoder(Task::translation), {{file("a", "ab\n\nc\n")}, {file("b", "a\nbb\ncab")}});
  ASSERT_EQ(store.size(), 3);
  EXPECT_EQ(store.tokens(), 3 + 6);
  EXPECT_EQ(store.example(0).source, (Ids{4, 5}));
  EXPECT_EQ(store.example(0).target, (Ids{4}));
  EXPECT_EQ(store.example(1).source, Ids{});
  EXPECT_EQ(store.example(1).target, (Ids{5, 5}));
  EXPECT_EQ(store.example(2).target, (Ids{6, 4, 5}));
  EXPECT_EQ(store.length(2), 1 + 1 + 3 + 1);
  expect_error("there is no example 3", [&] { (void)store.example(3); });
}

TEST_F(Store, HoldsLabels) {
  const TokenStore store = open(encoder(Task::classification), {{file("a", "yes ab\nno c\n")}, {}});
  EXPECT_EQ(store.example(0).label, 1);
  EXPECT_EQ(store.label(1), 0);
  EXPECT_EQ(store.length(0), 3);
  expect_error("b, line 2: the label \"perhaps\" was never seen in training; known are no, yes", [&] {
    open(encoder(Task::classification), {{file("b", "yes a\nperhaps b\n")}, {}});
  });
}

TEST_F(Store, HoldsAStreamOrDocuments) {
  const DataFiles files = {{file("a", "ab\n\nc"), file("b", "a\n")}, {}};
  TextEncoder stream = encoder(Task::language_modelling);
  const TokenStore text = open(stream, files);
  EXPECT_TRUE(text.stream());
  EXPECT_EQ(text.range(0, text.tokens()), (Ids{4, 5, 3, 3, 6, 4, 3}));
  expect_error("tokens 5 to 8 of 7 were asked for", [&] { (void)text.range(5, 3); });
  stream.documents = true;
  const TokenStore documents = open(stream, files);
  EXPECT_EQ(documents.size(), 3) << "a blank line is no document";
  EXPECT_EQ(documents.example(1).source, (Ids{6}));
}

TEST_F(Store, TakesFourBytesForALargeVocabulary) {
  std::string characters;
  for (char32_t code = 0x4e00; code < 0x4e00 + 70000; ++code)
    if (code < 0xd800 || code > 0xdfff) append_utf8(characters, code);
  const TextEncoder large = encoder(Task::language_modelling, characters);
  std::string text;
  append_utf8(text, 0x4e00);
  append_utf8(text, 0x4e00 + 69999);
  const TokenStore store = open(large, {{file("a", text)}, {}});
  EXPECT_EQ(store.range(0, 2), (Ids{3, large.source->size() - 1}));
}

TEST_F(Store, IsMadeAgainOnlyWhenSomethingChanged) {
  const TextEncoder translation = encoder(Task::translation);
  const DataFiles files = {{file("a", "ab\n")}, {file("b", "a\n")}};
  open(translation, files);
  open(translation, files);
  EXPECT_EQ(builds_, 1);
  std::filesystem::rename(folder_ / "a", folder_ / "moved");
  open(translation, {{folder_ / "moved"}, {folder_ / "b"}});
  EXPECT_EQ(builds_, 1) << "where a file lies does not matter";
  file("b", "c\n");
  EXPECT_EQ(open(translation, {{folder_ / "moved"}, {folder_ / "b"}}).example(0).target, (Ids{6}));
  EXPECT_EQ(builds_, 2) << "the text changed";
  open(encoder(Task::translation, "\nabc"), {{folder_ / "moved"}, {folder_ / "b"}});
  EXPECT_EQ(builds_, 3) << "the vocabulary changed";
  config_.lowercase = true;
  open(encoder(Task::translation, "\nabc"), {{folder_ / "moved"}, {folder_ / "b"}});
  EXPECT_EQ(builds_, 4) << "the recipe changed";
}

TEST_F(Store, IsMadeAgainWhenItWasCutOrAltered) {
  const TextEncoder encoder = this->encoder(Task::language_modelling);
  const DataFiles files = {{file("a", "ab\nc\n")}, {}};
  open(encoder, files);
  const std::string whole = contents(folder_ / "store");
  for (const std::string& damaged : {whole.substr(0, 10), whole.substr(0, whole.size() - 1), std::string("x"),
                                     std::string(whole).replace(whole.size() - 30, 1, "~")}) {
    put(folder_ / "store", damaged);
    expect_error("is not a store of tokens", [&] { TokenStore store(folder_ / "store"); });
    EXPECT_EQ(open(encoder, files).tokens(), 5);
  }
  EXPECT_EQ(builds_, 5);
  EXPECT_EQ(folder_.size(), 2u) << "nothing is left beside the text and the store";
}

TEST_F(Store, RefusesAnIndexOrFooterThatPointsOutsideTheFile) {
  const TextEncoder encoder = this->encoder(Task::translation);
  open(encoder, {{file("a", "ab\nc\n")}, {file("b", "a\nb\n")}});
  const std::string whole = contents(folder_ / "store");
  TokenFooter footer;
  std::memcpy(&footer, whole.data() + whole.size() - sizeof(footer), sizeof(footer));
  ASSERT_EQ(footer.tokens, 5);

  for (const std::int64_t extreme :
       {std::int64_t{-1}, std::numeric_limits<std::int64_t>::max() / 2, std::numeric_limits<std::int64_t>::max()}) {
    TokenFooter other = footer;
    (extreme < 0 ? other.tokens : other.examples) = extreme;
    other.check = other.right_check();
    std::string damaged = whole;
    std::memcpy(damaged.data() + damaged.size() - sizeof(other), &other, sizeof(other));
    put(folder_ / "store", damaged);
    expect_error("is not a store of tokens", [&] { TokenStore store(folder_ / "store"); });
  }
  const auto index = static_cast<std::size_t>(token_bytes(footer));
  for (const TokenEntry& entry : {TokenEntry{-1, 1, -1}, TokenEntry{std::numeric_limits<std::int64_t>::max(), 2, -1},
                                  TokenEntry{0, 4, -1}, TokenEntry{0, -1, -1}}) {
    std::string damaged = whole;
    std::memcpy(damaged.data() + index, &entry, sizeof(entry));
    put(folder_ / "store", damaged);
    const TokenStore store(folder_ / "store");
    expect_error("example 0 was altered", [&] { (void)store.example(0); });
    expect_error("example 0 was altered", [&] { (void)store.length(0); });
    EXPECT_EQ(store.length(1), 4);
  }
}

TEST_F(Store, FollowsThePolicyForLongExamples) {
  const DataFiles files = {{file("a", "a\nabcdef\n")}, {file("b", "b\nc\n")}};
  EXPECT_EQ(error_of([&] { open(encoder(Task::translation), files, 4); }),
            (folder_ / "a").string() +
                ", line 2: the source has 7 tokens with begin or end, and 4 are allowed; raise data.max_length (or "
                "model.context), or set data.too_long to cut or skip");
  config_.too_long = "cut";
  const TokenStore cut = open(encoder(Task::translation), files, 4);
  EXPECT_EQ(cut.example(1).source, (Ids{4, 5, 6}));
  EXPECT_EQ(cut.cut(), 1);
  config_.too_long = "skip";
  const TokenStore skipped = open(encoder(Task::translation), files, 4);
  EXPECT_EQ(skipped.size(), 1);
  EXPECT_EQ(skipped.skipped(), 1);
  expect_error("no example is left; data.too_long passed over all 2", [&] {
    open(encoder(Task::translation), {{file("c", "abcd\nabcd\n")}, {file("d", "a\na\n")}}, 4);
  });
  config_.too_long = "split";
  expect_error("\"split\" is for language modelling", [&] { open(encoder(Task::translation), files, 4); });
  TextEncoder documents = encoder(Task::language_modelling);
  documents.documents = true;
  const TokenStore split = open(documents, {{folder_ / "a"}, {}}, 5);
  ASSERT_EQ(split.size(), 3);
  EXPECT_EQ(split.example(1).source, (Ids{4, 5, 6, 7}));
  EXPECT_EQ(split.example(2).source, (Ids{8, 9}));
}

TEST_F(Store, KeepsTheOldFileWhenTheTextIsRefused) {
  const TextEncoder encoder = this->encoder(Task::language_modelling);
  open(encoder, {{file("a", "abc\n")}, {}});
  expect_error("b, line 1", [&] { open(encoder, {{file("b", "a\xff\n")}, {}}); });
  EXPECT_EQ(TokenStore(folder_ / "store").tokens(), 4);
  expect_error("c: the file is empty", [&] { open(encoder, {{file("c", "")}, {}}); });
}

}  // namespace
}  // namespace heed
