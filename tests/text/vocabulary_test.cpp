#include "text/vocabulary.h"

#include <gtest/gtest.h>
#include <heed/random.h>

#include <numeric>
#include <set>
#include <thread>

#include "formats/test_files.h"
#include "formats/utf8.h"
#include "text/subword_vocabulary.h"

namespace heed {
namespace {

NextText lines(std::vector<std::string> texts) {
  return [texts = std::move(texts), at = std::size_t{0}](std::string_view& text) mutable {
    if (at == texts.size()) return false;
    text = texts[at++];
    return true;
  };
}

VocabularyConfig of_kind(const std::string& kind, std::int64_t size = 8000) {
  VocabularyConfig config;
  config.kind = kind;
  config.size = size;
  return config;
}

VocabularyConfig subwords(const std::string& algorithm, std::int64_t size,
                          const std::string& normalisation = "nmt_nfkc") {
  VocabularyConfig config = of_kind("subword", size);
  config.algorithm = algorithm;
  config.normalisation = normalisation;
  return config;
}

/// Sentences of made-up words, the same ones in every run.
std::vector<std::string> sentences(int count) {
  const std::vector<std::string> syllables = {"ba", "lo", "mi", "ster", "wal", "k", "ing", "ed", "un", "é", "ß", "o"};
  std::vector<std::string> texts;
  for (int i = 0; i < count; ++i) {
    const RandomKey key = RandomKey{7}.fold(static_cast<std::uint64_t>(i));
    std::string text;
    for (std::uint64_t word = 0; word < 8; ++word) {
      if (word > 0) text += ' ';
      for (std::uint64_t part = 0; part < 1 + word % 3; ++part)
        text += syllables[static_cast<std::size_t>(uniform_index(key, word * 4 + part, 12))];
    }
    texts.push_back(text);
  }
  return texts;
}

std::string random_unicode(RandomKey key, std::int64_t length) {
  std::u32string codes;
  for (std::int64_t i = 0; i < length; ++i) {
    const std::vector<std::pair<char32_t, char32_t>> blocks = {
        {1, 0x7f}, {0xa0, 0x24f}, {0x400, 0x4ff}, {0x4e00, 0x4fff}, {0x1f600, 0x1f64f}, {0x10ff00, 0x10ffff}};
    const auto at = static_cast<std::uint64_t>(i);
    const auto& [first, last] = blocks[static_cast<std::size_t>(uniform_index(key, 2 * at, 6))];
    codes.push_back(first + static_cast<char32_t>(uniform_index(key, 2 * at + 1, last - first + 1)));
  }
  return to_utf8(codes);
}

std::string joined(const Vocabulary& vocabulary, const std::vector<std::int32_t>& ids) {
  return std::accumulate(ids.begin(), ids.end(), std::string(),
                         [&](std::string text, std::int32_t id) { return text + vocabulary.piece(id); });
}

TEST(CharacterVocabulary, GivesBackAnyTextOfItsCharacters) {
  std::vector<std::string> texts;
  for (std::uint64_t i = 0; i < 50; ++i) texts.push_back(random_unicode(RandomKey{3}.fold(i), 200));
  const auto vocabulary = train_vocabulary(of_kind("character", 100000), lines(texts));
  for (const std::string& text : texts) EXPECT_EQ(vocabulary->decode(vocabulary->encode(text)), text);
}

TEST(CharacterVocabulary, NumbersCharactersByCodePointAfterTheSpecialOnes) {
  const auto vocabulary = train_vocabulary(of_kind("character"), lines({"bca\n", "ß"}));
  EXPECT_EQ(vocabulary->size(), 3 + 5);
  EXPECT_EQ(vocabulary->encode("\nabcß"), (std::vector<std::int32_t>{3, 4, 5, 6, 7}));
  EXPECT_EQ(vocabulary->encode("a?"), (std::vector<std::int32_t>{4, Vocabulary::unknown()}));
  EXPECT_EQ(vocabulary->decode(std::vector<std::int32_t>{1, 4, 0, 2}), "a\xef\xbf\xbd");
  EXPECT_EQ(vocabulary->line_end(), 3);
  EXPECT_EQ(vocabulary->kind(), "character");
}

TEST(CharacterVocabulary, KeepsTheMostFrequentCharactersWithinItsSize) {
  VocabularyConfig config = of_kind("character", 5);
  const auto vocabulary = train_vocabulary(config, lines({"aaazzzb"}));
  EXPECT_EQ(vocabulary->encode("abz"), (std::vector<std::int32_t>{3, 0, 4}));
  EXPECT_EQ(vocabulary->line_end(), Vocabulary::end()) << "it has no line end of its own";
}

TEST(WordVocabulary, RanksWordsByCountAndJoinsThemByASpace) {
  VocabularyConfig config = of_kind("word", 6);
  config.min_count = 2;
  const auto vocabulary = train_vocabulary(config, lines({"the cat the\tdog", "the dog  cat bird <unk> <unk> <unk>"}));
  EXPECT_EQ(vocabulary->size(), 6);
  EXPECT_EQ(vocabulary->encode("the cat dog bird <unk> <s>"), (std::vector<std::int32_t>{3, 4, 5, 0, 0, 0}));
  EXPECT_EQ(vocabulary->decode(std::vector<std::int32_t>{1, 3, 5, 0, 2}), "the dog <unk>");
  EXPECT_EQ(vocabulary->line_end(), Vocabulary::end());
}

TEST(SubwordVocabulary, GivesBackATextAfterIdentityNormalisation) {
  for (const char* algorithm : {"bpe", "unigram"}) {
    std::vector<std::string> texts = sentences(200);
    texts.push_back("  two  spaces, and one behind ");
    const auto vocabulary = train_vocabulary(subwords(algorithm, 120, "identity"), lines(texts));
    EXPECT_LE(vocabulary->size(), 120);
    for (const std::string& text : texts) EXPECT_EQ(vocabulary->decode(vocabulary->encode(text)), text) << algorithm;
    EXPECT_TRUE(vocabulary->encode("").empty());
  }
}

TEST(SubwordVocabulary, IsTheSameInEveryTraining) {
  for (const char* algorithm : {"bpe", "unigram"}) {
    const auto first = train_vocabulary(subwords(algorithm, 100), lines(sentences(300)));
    const auto second = train_vocabulary(subwords(algorithm, 100), lines(sentences(300)));
    EXPECT_EQ(first->fingerprint(), second->fingerprint());
    const auto other = train_vocabulary(subwords(algorithm, 90), lines(sentences(300)));
    EXPECT_NE(first->fingerprint(), other->fingerprint());
  }
}

TEST(SubwordVocabulary, KeepsTagsWhole) {
  for (const char* algorithm : {"bpe", "unigram"}) {
    VocabularyConfig config = subwords(algorithm, 120);
    config.tags = {"<2de>", "<2fr>"};
    const auto vocabulary = train_vocabulary(config, lines(sentences(200)));
    for (const std::string& tag : config.tags) {
      const std::vector<std::int32_t> ids = vocabulary->encode(tag + " balo ming");
      EXPECT_TRUE(std::any_of(ids.begin(), ids.end(), [&](std::int32_t id) { return vocabulary->piece(id) == tag; }));
      EXPECT_EQ(vocabulary->decode(ids), tag + " balo ming");
    }
  }
}

TEST(SubwordVocabulary, TrainsQuietlyAndLeavesNoFile) {
  testing::internal::CaptureStderr();
  testing::internal::CaptureStdout();
  const auto before = std::distance(std::filesystem::directory_iterator("."), {});
  train_vocabulary(subwords("bpe", 60), lines(sentences(100)));
  train_vocabulary(subwords("unigram", 60), lines(sentences(100)));
  EXPECT_EQ(testing::internal::GetCapturedStderr() + testing::internal::GetCapturedStdout(), "");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator("."), {}), before);
}

TEST(SubwordVocabulary, TakesLinesOfAnyLength) {
  std::string megabyte;
  while (megabyte.size() < (1u << 20)) megabyte += "日本語";
  const auto vocabulary = train_vocabulary(subwords("bpe", 30), lines({megabyte, "a\tb", "c d"}));
  EXPECT_NE(vocabulary->encode("a")[0], Vocabulary::unknown());
  EXPECT_EQ(vocabulary->decode(vocabulary->encode("日本語日本")), "日本語日本");
}

// SentencePiece would end the process. Found by the fuzzer.
TEST(SubwordVocabulary, RefusesAModelWhosePiecesHaveNulBytes) {
  const auto field = [](char key, const std::string& contents) {
    return std::string{key, static_cast<char>(contents.size())} + contents;
  };
  std::string model;
  for (const std::string& piece : {std::string("<unk>"), std::string("a\0b", 3)})
    model += field('\n', field('\n', piece));
  const auto load = [](const std::string& bytes) {
    return subwords_from({.kind = "subword", .algorithm = "unigram", .entries = {}, .model = bytes});
  };
  expect_error("vocabulary: piece 1 of the subword model has a NUL byte", [&] { load(model); });
  expect_error("vocabulary: the subword model is damaged", [&] { load(model.substr(0, model.size() - 1)); });
  expect_error("a field of type 3 at byte 0", [&] { load("\x0b" + model); });
}

TEST(SubwordVocabulary, SamplesWithTheKeyAlone) {
  for (const char* algorithm : {"bpe", "unigram"}) {
    const auto vocabulary = train_vocabulary(subwords(algorithm, 150), lines(sentences(300)));
    const std::string text = "walking unmilosterba stered loßé";
    const std::vector<std::int32_t> best = vocabulary->encode(text);
    std::set<std::vector<std::int32_t>> seen;
    for (std::uint64_t draw = 0; draw < 50; ++draw) {
      const RandomKey key = RandomKey{1}.fold(draw);
      const std::vector<std::int32_t> sampled = vocabulary->encode_sampled(text, 0.2, key);
      EXPECT_EQ(joined(*vocabulary, sampled), joined(*vocabulary, best)) << algorithm;
      std::vector<std::int32_t> in_another_thread;
      std::thread([&] { in_another_thread = vocabulary->encode_sampled(text, 0.2, key); }).join();
      EXPECT_EQ(in_another_thread, sampled);
      seen.insert(sampled);
    }
    EXPECT_GT(seen.size(), 10u) << algorithm;
    EXPECT_EQ(vocabulary->encode_sampled(text, 0.0, RandomKey{1}), best) << "no sampling";
  }
}

TEST(SubwordVocabulary, SamplingWithoutDropoutIsByPairEncodingItself) {
  std::vector<std::string> texts = sentences(300);
  texts.push_back("  two  spaces   and one behind ");
  const auto vocabulary = train_vocabulary(subwords("bpe", 200, "identity"), lines(texts));
  for (const std::string& text : texts) {
    const std::vector<std::int32_t> best = vocabulary->encode(text);
    // A rate below every draw: the merges are made here, and none is dropped.
    EXPECT_EQ(vocabulary->resample(best, 1e-300, RandomKey{5}), best) << text;
  }
  const std::vector<std::int32_t> characters = vocabulary->encode_sampled("walking", 1.0, RandomKey{5});
  EXPECT_EQ(characters.size(), 8u) << "with dropout 1 nothing is merged";
}

TEST(SubwordVocabulary, SamplingAtALargeAlphaIsTheBestSegmentation) {
  const auto vocabulary = train_vocabulary(subwords("unigram", 150), lines(sentences(300)));
  for (const std::string& text : sentences(100)) {
    const std::vector<std::int32_t> best = vocabulary->encode(text);
    EXPECT_EQ(joined(*vocabulary, vocabulary->resample(best, 1e4, RandomKey{5})), joined(*vocabulary, best));
    EXPECT_LE(vocabulary->resample(best, 1e4, RandomKey{5}).size(), best.size() + 2);
  }
}

TEST(SubwordVocabulary, SamplingKeepsUnknownTokensWhereTheyAre) {
  for (const char* algorithm : {"bpe", "unigram"}) {
    const auto vocabulary = train_vocabulary(subwords(algorithm, 100), lines(sentences(300)));
    const std::vector<std::int32_t> ids = vocabulary->encode("walking 漢字 ing");
    ASSERT_EQ(std::count(ids.begin(), ids.end(), Vocabulary::unknown()), 1);
    const std::vector<std::int32_t> sampled = vocabulary->resample(ids, 0.3, RandomKey{2});
    EXPECT_EQ(joined(*vocabulary, sampled), joined(*vocabulary, ids));
  }
}

TEST(Vocabulary, IsReadBackAsItWasSaved) {
  const TestFolder folder;
  for (const VocabularyConfig& config :
       {of_kind("character"), of_kind("word"), subwords("bpe", 100), subwords("unigram", 100)}) {
    const auto made = train_vocabulary(config, lines(sentences(200)));
    made->save(folder.path(), "source");
    const auto read = load_vocabulary(folder.path(), "source");
    EXPECT_EQ(read->kind(), config.kind);
    EXPECT_EQ(read->size(), made->size());
    EXPECT_EQ(read->fingerprint(), made->fingerprint());
    const std::string text = "walking \"lo\"\\ \t miéß";
    EXPECT_EQ(read->encode(text), made->encode(text));
    EXPECT_EQ(read->encode_sampled(text, 0.2, RandomKey{4}), made->encode_sampled(text, 0.2, RandomKey{4}));
    for (std::int32_t id = 0; id < made->size(); ++id) EXPECT_EQ(read->piece(id), made->piece(id));
  }
}

TEST(Vocabulary, RefusesFilesThatWereCutOrAltered) {
  const TestFolder folder;
  expect_error("none.json: cannot open the file", [&] { load_vocabulary(folder.path(), "none"); });
  train_vocabulary(of_kind("word"), lines({"some words stand here"}))->save(folder.path(), "words");
  train_vocabulary(subwords("bpe", 60), lines(sentences(100)))->save(folder.path(), "subwords");

  const std::string json = contents(folder / "words.json");
  put(folder / "words.json", json.substr(0, json.size() / 2));
  expect_error("words.json: is not a vocabulary of heed, or it was cut or altered",
               [&] { load_vocabulary(folder.path(), "words"); });
  std::string altered = json;
  altered.replace(altered.find("stand"), 5, "stood");
  put(folder / "words.json", altered);
  expect_error("words.json: the vocabulary was cut or altered", [&] { load_vocabulary(folder.path(), "words"); });
  std::string later = json;
  later.replace(later.find("\"version\": 1"), 12, "\"version\": 9");
  put(folder / "words.json", later);
  expect_error("format version is 9; this heed reads 1", [&] { load_vocabulary(folder.path(), "words"); });

  const std::string model = contents(folder / "subwords.model");
  put(folder / "subwords.model", model.substr(0, model.size() - 1));
  expect_error("subwords.model: the vocabulary was cut or altered",
               [&] { load_vocabulary(folder.path(), "subwords"); });
  std::filesystem::remove(folder / "subwords.model");
  expect_error("subwords.model: cannot open the file", [&] { load_vocabulary(folder.path(), "subwords"); });
}

TEST(Vocabulary, SaysWhatCannotBeMade) {
  for (const char* kind : {"character", "word", "subword"})
    expect_error("the training text", [&] { train_vocabulary(of_kind(kind), lines({"", ""})); });
  expect_error("vocabulary.character_coverage is 0.5; SentencePiece takes 0.98 to 1", [] {
    VocabularyConfig config = subwords("bpe", 50);
    config.character_coverage = 0.5;
    train_vocabulary(config, lines({"abcdefg"}));
  });
  for (const char* algorithm : {"bpe", "unigram"})
    expect_error("the training text is empty or blank", [&] {
      train_vocabulary(subwords(algorithm, 50), lines({"  \t", "\u3000\u200b", "\u2581\u2585"}));
    });
  expect_error("vocabulary.kind is \"syllable\"", [] { train_vocabulary(of_kind("syllable"), lines({"a"})); });
  expect_error("vocabulary.size is 3", [] { train_vocabulary(of_kind("word", 3), lines({"a"})); });
  expect_error("vocabulary.tags has \"<2 de>\"; a tag is a word", [] {
    VocabularyConfig config = subwords("bpe", 50);
    config.tags = {"<2 de>"};
    train_vocabulary(config, lines({"abcdefg"}));
  });
  expect_error("none of the 2 different words", [] {
    VocabularyConfig config = of_kind("word");
    config.min_count = 5;
    train_vocabulary(config, lines({"a b"}));
  });
  expect_error("vocabulary.size is 5; the characters of the training text and the special tokens take 11; raise it",
               [] { train_vocabulary(subwords("bpe", 5), lines({"abcdefg"})); });
  expect_error("vocabulary.algorithm is \"wordpiece\"",
               [] { train_vocabulary(subwords("wordpiece", 50), lines({"abcdefg"})); });
  expect_error("No precompiled charsmap is found: nfx",
               [] { train_vocabulary(subwords("bpe", 50, "nfx"), lines({"abcdefg"})); });
  const auto words = train_vocabulary(of_kind("word"), lines({"a"}));
  expect_error("there is no token 4; it has 4", [&] { words->decode(std::vector<std::int32_t>{4}); });
  const auto pieces = train_vocabulary(subwords("bpe", 60), lines(sentences(100)));
  expect_error("there is no token -1", [&] { pieces->decode(std::vector<std::int32_t>{-1}); });
}

}  // namespace
}  // namespace heed
