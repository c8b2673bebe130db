// The readers, vocabularies and stores on real corpora; sizes are those that the corpora's descriptions state.
#include <gtest/gtest.h>

#include "formats/test_files.h"
#include "text/batches.h"

namespace heed {
namespace {

std::shared_ptr<const Vocabulary> train_on(const VocabularyConfig& vocabulary, const DataConfig& config, Task task,
                                           const DataFiles& files) {
  ExampleReader reader(config, task, files);
  return train_vocabulary(vocabulary, texts_of(reader, task, Side::both));
}

TEST(SharedData, Multi30kGivesJointPiecesAndPackedBatches) {
  const auto english = shared_file("mt/multi30k/train.en.gz"), german = shared_file("mt/multi30k/train.de.gz");
  SKIP_WITHOUT(english);
  VocabularyConfig pieces;
  pieces.size = 5000;
  const DataFiles files = {{english}, {german}};
  const auto vocabulary = train_on(pieces, {}, Task::translation, files);
  EXPECT_EQ(vocabulary->size(), 5000);
  const TextEncoder encoder{.task = Task::translation, .source = vocabulary, .target = vocabulary, .labels = {}};
  const TestFolder folder;
  const auto store = std::make_shared<TokenStore>(open_token_store(folder / "train", encoder, {}, files, 256));
  EXPECT_EQ(store->size(), 29000);
  BatchConfig config;
  config.tokens = 4096;
  const Batches batches(store, encoder, whole(*store), config, 0, 1);
  const double full =
      static_cast<double>(batches.tokens_in_epoch()) / static_cast<double>(4096 * batches.batches_in_epoch(0));
  EXPECT_GT(full, 0.98);
}

TEST(SharedData, TrecHoldsBytesThatAreNotUtf8) {
  const auto path = shared_file("classification/trec/train.txt.gz");
  SKIP_WITHOUT(path);
  DataConfig config;
  const auto labels = [&] {
    ExampleReader reader(config, Task::classification, {{path}, {}});
    return collect_labels(reader).names();
  };
  expect_error("is not UTF-8; save the file as UTF-8, or set data.bad_bytes = \"replace\"", labels);
  config.bad_bytes = "replace";
  EXPECT_EQ(labels(), (std::vector<std::string>{"0", "1", "2", "3", "4", "5"}));
}

TEST(SharedData, WikiText2HasTheWordsThatItsDescriptionCounts) {
  const auto path = shared_file("lm/wikitext-2/train.txt.gz");
  SKIP_WITHOUT(path);
  VocabularyConfig words;
  words.kind = "word";
  words.size = 50000;
  const auto vocabulary = train_on(words, {}, Task::language_modelling, {{path}, {}});
  EXPECT_EQ(vocabulary->size(), 33278 + 1) << "its words, <unk> and <eos> among them, and begin";
  const TextEncoder encoder{.task = Task::language_modelling, .source = vocabulary, .target = {}, .labels = {}};
  const TestFolder folder;
  EXPECT_EQ(open_token_store(folder / "train", encoder, {}, {{path}, {}}, 0).tokens(), 2088628);
}

TEST(SharedData, TinyShakespeareHas65Characters) {
  const auto path = shared_file("lm/tinyshakespeare/input.txt.gz");
  SKIP_WITHOUT(path);
  VocabularyConfig characters;
  characters.kind = "character";
  const auto vocabulary = train_on(characters, {}, Task::language_modelling, {{path}, {}});
  EXPECT_EQ(vocabulary->size(), 65 + Vocabulary::special_tokens);
  const TextEncoder encoder{.task = Task::language_modelling, .source = vocabulary, .target = {}, .labels = {}};
  const TestFolder folder;
  const TokenStore store = open_token_store(folder / "train", encoder, {}, {{path}, {}}, 0);
  EXPECT_EQ(store.tokens(), 1115394);
  DataConfig config;
  config.validation_split = 0.1;
  EXPECT_EQ(split_validation(store, config, 1).first.last_token, 1003854);
  EXPECT_EQ(vocabulary->decode(store.range(0, 14)), "First Citizen:");
}

TEST(SharedData, ReviewsOfACsvFileHaveTwoClasses) {
  const auto path = shared_file("classification/waimai_10k/train.csv.gz");
  SKIP_WITHOUT(path);
  DataConfig config;
  config.text_column = "review";
  VocabularyConfig pieces;
  pieces.size = 4000;
  pieces.character_coverage = 0.9995;
  ExampleReader reader(config, Task::classification, {{path}, {}});
  TextEncoder encoder{.task = Task::classification, .source = {}, .target = {}, .labels = collect_labels(reader)};
  EXPECT_EQ(encoder.labels.names(), (std::vector<std::string>{"0", "1"}));
  encoder.source = train_on(pieces, config, Task::classification, {{path}, {}});
  const TestFolder folder;
  const TokenStore store = open_token_store(folder / "train", encoder, config, {{path}, {}}, 1024);
  EXPECT_GT(store.size(), 10000);
  EXPECT_EQ(store.label(0), 1);
}

}  // namespace
}  // namespace heed
