#include "text/batches.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <thread>

#include "formats/test_files.h"

namespace heed {
namespace {

using Ids = std::vector<std::int32_t>;
using Numbers = std::vector<std::int64_t>;

TextEncoder characters(Task task) {
  VocabularyConfig config;
  config.kind = "character";
  const NextText next = [given = false](std::string_view& text) mutable {
    text = "\nabcdefghijklmnopqrstuvwxyz";
    return !std::exchange(given, true);
  };
  const auto vocabulary = train_vocabulary(config, next);
  return {.task = task, .source = vocabulary, .target = vocabulary, .labels = Labels({"0", "1"})};
}

/// Lines of 0 to 29 letters.
std::string lines(int count, std::uint64_t seed, bool labelled = false) {
  std::string text;
  for (int i = 0; i < count; ++i) {
    if (labelled) text += i % 3 == 0 ? "1 " : "0 ";
    const RandomKey key = RandomKey{seed}.fold(static_cast<std::uint64_t>(i));
    for (std::int64_t at = uniform_index(key, 0, 30); at > 0; --at)
      text += static_cast<char>('a' + uniform_index(key, static_cast<std::uint64_t>(at), 26));
    text += '\n';
  }
  return text;
}

class BatchesTest : public testing::Test {
 protected:
  std::shared_ptr<const TokenStore> store(const TextEncoder& encoder, const std::string& source,
                                          const std::string& target = "") {
    DataFiles files{{put(folder_ / "source", source)}, {}};
    if (!target.empty()) files.target = {put(folder_ / "target", target)};
    return std::make_shared<TokenStore>(open_token_store(folder_ / "store", encoder, {}, files, 100));
  }
  Batches batches(const TextEncoder& encoder, std::shared_ptr<const TokenStore> store, const BatchConfig& config,
                  std::int64_t context = 16, std::uint64_t seed = 1) {
    return Batches(store, encoder, whole(*store), config, context, seed);
  }
  TestFolder folder_;
};

BatchConfig by_tokens(std::int64_t tokens, const std::string& order = "shuffle", std::int64_t bucket = 4) {
  BatchConfig config;
  config.tokens = tokens;
  config.order = order;
  config.bucket = bucket;
  return config;
}

BatchConfig by_sequences(std::int64_t sequences, const std::string& order = "shuffle") {
  BatchConfig config;
  config.sequences = sequences;
  config.order = order;
  return config;
}

void expect_equal(const PackedBatch& a, const PackedBatch& b) {
  EXPECT_EQ(a.source, b.source);
  EXPECT_EQ(a.target_input, b.target_input);
  EXPECT_EQ(a.target_output, b.target_output);
  EXPECT_EQ(a.source_offsets, b.source_offsets);
  EXPECT_EQ(a.target_offsets, b.target_offsets);
  EXPECT_EQ(a.labels, b.labels);
  EXPECT_EQ(a.examples, b.examples);
}

/// Examples of all batches of an epoch, in their order.
Numbers examples_of(const Batches& batches, std::int64_t epoch) {
  Numbers all;
  for (std::int64_t i = 0; i < batches.batches_in_epoch(epoch); ++i) {
    const PackedBatch batch = batches.batch(epoch, i);
    all.insert(all.end(), batch.examples.begin(), batch.examples.end());
  }
  return all;
}

TEST_F(BatchesTest, PackTranslationsWithBeginAndEnd) {
  const TextEncoder encoder = characters(Task::translation);
  const Batches all = batches(encoder, store(encoder, "ab\n\n", "c\nde\n"), by_sequences(8, "sequential"));
  ASSERT_EQ(all.batches_in_epoch(0), 1);
  const PackedBatch batch = all.batch(0, 0);
  EXPECT_EQ(batch.source, (Ids{4, 5, 2, 2}));
  EXPECT_EQ(batch.source_offsets, (Numbers{0, 3, 4}));
  EXPECT_EQ(batch.target_input, (Ids{1, 6, 1, 7, 8}));
  EXPECT_EQ(batch.target_output, (Ids{6, 2, 7, 8, 2}));
  EXPECT_EQ(batch.target_offsets, (Numbers{0, 2, 5}));
  EXPECT_EQ(batch.examples, (Numbers{0, 1}));
  EXPECT_EQ(batch.target_tokens, 5);
  EXPECT_EQ(batch.sequences(), 2);
  EXPECT_EQ(all.tokens_in_epoch(), 9);
}

TEST_F(BatchesTest, PackLabelledTexts) {
  const TextEncoder encoder = characters(Task::classification);
  const Batches all = batches(encoder, store(encoder, "1 ab\n0 c\n1\n"), by_sequences(8, "sequential"));
  const PackedBatch batch = all.batch(0, 0);
  EXPECT_EQ(batch.source, (Ids{1, 4, 5, 1, 6, 1}));
  EXPECT_EQ(batch.source_offsets, (Numbers{0, 3, 5, 6}));
  EXPECT_EQ(batch.labels, (Ids{1, 0, 1}));
  EXPECT_TRUE(batch.target_offsets.empty());
  EXPECT_EQ(batch.target_tokens, 3);
}

TEST_F(BatchesTest, CutAStreamIntoWindows) {
  const TextEncoder encoder = characters(Task::language_modelling);
  const Batches all = batches(encoder, store(encoder, "abc\ndefgh\n"), by_sequences(2, "sequential"), 4);
  EXPECT_EQ(all.examples(), 3);
  ASSERT_EQ(all.batches_in_epoch(0), 2);
  const PackedBatch first = all.batch(0, 0), second = all.batch(0, 1);
  EXPECT_EQ(first.target_input, (Ids{4, 5, 6, 3, 7, 8, 9, 10}));
  EXPECT_EQ(first.target_output, (Ids{5, 6, 3, 7, 8, 9, 10, 11}));
  EXPECT_EQ(first.target_offsets, (Numbers{0, 4, 8}));
  EXPECT_EQ(second.target_input, (Ids{11}));
  EXPECT_EQ(second.target_output, (Ids{3}));
  EXPECT_EQ(all.tokens_in_epoch(), 9) << "every token but the first is predicted once";
}

TEST_F(BatchesTest, PackDocumentsApartUpToTheBudget) {
  TextEncoder encoder = characters(Task::language_modelling);
  encoder.documents = true;
  const Batches all = batches(encoder, store(encoder, "ab\nc\ndefg\n\nh\n"), by_sequences(2, "sequential"), 5);
  ASSERT_EQ(all.batches_in_epoch(0), 2);
  const PackedBatch batch = all.batch(0, 0);
  EXPECT_EQ(batch.target_input, (Ids{1, 4, 5, 1, 6, 1, 7, 8, 9, 10}));
  EXPECT_EQ(batch.target_output, (Ids{4, 5, 2, 6, 2, 7, 8, 9, 10, 2}));
  EXPECT_EQ(batch.target_offsets, (Numbers{0, 3, 5, 10})) << "2 x 5 tokens hold three documents";
}

TEST_F(BatchesTest, TakeEveryExampleOnceAnEpoch) {
  const TextEncoder encoder = characters(Task::translation);
  const auto store = this->store(encoder, lines(500, 1), lines(500, 2));
  for (const BatchConfig& config : {by_tokens(200), by_tokens(200, "shuffle", 1), by_tokens(200, "sequential"),
                                    by_sequences(7), validation_batches(300), by_tokens(1)}) {
    const Batches all = batches(encoder, store, config);
    for (const std::int64_t epoch : {0, 1}) {
      Numbers examples = examples_of(all, epoch);
      std::sort(examples.begin(), examples.end());
      EXPECT_EQ(examples, whole(*store).examples);
    }
  }
}

TEST_F(BatchesTest, StayWithinTheirTokensAndFillThem) {
  const TextEncoder encoder = characters(Task::translation);
  const auto store = this->store(encoder, lines(500, 1), lines(500, 2));
  const Batches all = batches(encoder, store, by_tokens(200));
  const std::int64_t count = all.batches_in_epoch(0);
  for (std::int64_t i = 0; i < count; ++i) {
    const PackedBatch batch = all.batch(0, i);
    EXPECT_LE(batch.source.size() + batch.target_input.size(), 200u);
  }
  EXPECT_LT(count, all.tokens_in_epoch() * 12 / 10 / 200 + 2) << "batches are at least five sixths full on average";
}

TEST_F(BatchesTest, HoldSequencesOfLikeLengthWhenBucketed) {
  const TextEncoder encoder = characters(Task::translation);
  const auto store = this->store(encoder, lines(500, 1), lines(500, 2));
  const auto spread = [&](const BatchConfig& config) {  // mean over batches of the range of lengths
    const Batches all = batches(encoder, store, config);
    std::int64_t sum = 0;
    for (std::int64_t i = 0; i < all.batches_in_epoch(0); ++i) {
      Numbers lengths;
      for (const std::int64_t example : all.batch(0, i).examples) lengths.push_back(store->length(example));
      const auto [least, most] = std::minmax_element(lengths.begin(), lengths.end());
      sum += *most - *least;
    }
    return sum / all.batches_in_epoch(0);
  };
  EXPECT_LT(3 * spread(by_tokens(300, "shuffle", 16)), spread(by_tokens(300, "shuffle", 1)));
}

TEST_F(BatchesTest, AreFunctionsOfSeedEpochAndIndex) {
  const TextEncoder encoder = characters(Task::translation);
  const auto store = this->store(encoder, lines(200, 1), lines(200, 2));
  const Batches going_through = batches(encoder, store, by_tokens(150));
  std::vector<PackedBatch> epoch;
  examples_of(going_through, 0);
  for (std::int64_t i = 0; i < going_through.batches_in_epoch(1); ++i) epoch.push_back(going_through.batch(1, i));
  const Batches resumed = batches(encoder, store, by_tokens(150));
  for (std::size_t i = epoch.size(); i-- > 0;) expect_equal(resumed.batch(1, static_cast<std::int64_t>(i)), epoch[i]);

  EXPECT_NE(examples_of(resumed, 0), examples_of(resumed, 1));
  EXPECT_NE(examples_of(resumed, 0), examples_of(batches(encoder, store, by_tokens(150), 16, 2), 0));
}

TEST_F(BatchesTest, AreTheSameForEveryThread) {
  const TextEncoder encoder = characters(Task::translation);
  const auto store = this->store(encoder, lines(200, 1), lines(200, 2));
  const Batches all = batches(encoder, store, by_tokens(150));
  const PackedBatch expected = all.batch(2, 1);
  std::vector<PackedBatch> got(4);
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < got.size(); ++i)
    threads.emplace_back([&, i] {
      (void)all.batch(static_cast<std::int64_t>(i), 0);
      got[i] = all.batch(2, 1);
    });
  for (std::thread& thread : threads) thread.join();
  for (const PackedBatch& batch : got) expect_equal(batch, expected);
}

TEST_F(BatchesTest, TakeWindowsAtRandomPlaces) {
  const TextEncoder encoder = characters(Task::language_modelling);
  const auto store = this->store(encoder, lines(100, 3));
  const Batches all = batches(encoder, store, by_sequences(4, "random"), 16);
  const Numbers first = examples_of(all, 0), second = examples_of(all, 1);
  EXPECT_NE(first, second);
  EXPECT_TRUE(std::any_of(first.begin(), first.end(), [](std::int64_t place) { return place % 16 != 0; }));
  const PackedBatch batch = all.batch(0, 0);
  EXPECT_EQ(batch.target_offsets, (Numbers{0, 16, 32, 48, 64}));
  EXPECT_EQ(batch.target_output[15], store->range(batch.examples[0] + 16, 1)[0]);
  const TextEncoder translation = characters(Task::translation);
  expect_error("batch.order = \"random\" is for language modelling of a stream",
               [&] { batches(translation, this->store(translation, "a\n", "b\n"), by_sequences(4, "random")); });
}

TEST_F(BatchesTest, DrawSegmentationsAnewEachEpochAndTheSameAgain) {
  VocabularyConfig config;
  config.size = 60;
  const std::string text = "walking talking walked talked king walk\nthe talk of the walking king\n";
  const NextText next = [&text, times = 0](std::string_view& given) mutable {
    given = text;
    return times++ < 20;
  };
  const auto vocabulary = train_vocabulary(config, next);
  const TextEncoder encoder{.task = Task::translation, .source = vocabulary, .target = vocabulary, .labels = {}};
  const auto store = this->store(encoder, text, text);
  const auto sampled = [&](std::int64_t epoch, std::int64_t max_length) {
    return Batches(store, encoder, whole(*store), by_sequences(2, "sequential"), 0, 1, 0.3, max_length).batch(epoch, 0);
  };
  const PackedBatch plain = batches(encoder, store, by_sequences(2, "sequential")).batch(0, 0);
  expect_equal(sampled(0, 0), sampled(0, 0));
  EXPECT_NE(sampled(0, 0).source, sampled(1, 0).source);
  EXPECT_NE(sampled(0, 0).source, plain.source);
  EXPECT_EQ(vocabulary->decode(sampled(0, 0).source), vocabulary->decode(plain.source));
  expect_equal(sampled(0, 1), plain);  // no other segmentation fits
}

TEST_F(BatchesTest, HoldOutEveryNthOrAShare) {
  const TextEncoder encoder = characters(Task::classification);
  const auto store = this->store(encoder, lines(20, 1, true));
  DataConfig config;
  config.validation_every = 10;
  EXPECT_EQ(split_validation(*store, config, 1).second.examples, (Numbers{9, 19}));
  EXPECT_EQ(split_validation(*store, config, 1).first.examples.size(), 18u);
  config.validation_split = 0.25;
  expect_error("not both", [&] { split_validation(*store, config, 1); });
  config.validation_every = 0;
  const auto [train, validation] = split_validation(*store, config, 1);
  EXPECT_EQ(validation.examples.size(), 5u);
  Numbers all = train.examples;
  all.insert(all.end(), validation.examples.begin(), validation.examples.end());
  std::sort(all.begin(), all.end());
  EXPECT_EQ(all, whole(*store).examples);
  EXPECT_EQ(split_validation(*store, config, 1).second.examples, validation.examples);
  EXPECT_NE(split_validation(*store, config, 2).second.examples, validation.examples);
  config.validation_split = 0.99;
  expect_error("20 of 20 examples would be held out", [&] { split_validation(*store, config, 1); });
}

TEST_F(BatchesTest, HoldOutTheLastShareOfAStream) {
  const TextEncoder encoder = characters(Task::language_modelling);
  const auto store = this->store(encoder, "abcdefghi\n");
  DataConfig config;
  config.validation_split = 0.3;
  const auto [train, validation] = split_validation(*store, config, 1);
  EXPECT_EQ(train.last_token, 7);
  EXPECT_EQ(validation.first_token, 7);
  EXPECT_EQ(validation.last_token, 10);
  const Batches held_out(store, encoder, validation, by_sequences(1, "sequential"), 16, 1);
  EXPECT_EQ(held_out.batch(0, 0).target_input, (Ids{11, 12}));
  EXPECT_EQ(held_out.batch(0, 0).target_output, (Ids{12, 3}));
  config.validation_split = 0;
  config.validation_every = 2;
  expect_error("validation_every counts examples", [&] { split_validation(*store, config, 1); });
}

TEST_F(BatchesTest, CutAStreamIntoParallelStreams) {
  const TextEncoder encoder = characters(Task::language_modelling);
  const auto text = store(encoder, lines(40, 1));
  const Ids all = text->range(0, text->tokens());
  BatchConfig config = by_sequences(3, "stream");
  for (const double jitter : {0.0, 0.5}) {
    config.context_jitter = jitter;
    const Batches cut = batches(encoder, text, config, 10);
    EXPECT_EQ(cut.streams(), 3);
    EXPECT_EQ(cut.tokens_in_epoch(), text->tokens() - 1);
    for (std::int64_t epoch = 0; epoch < 2; ++epoch) {
      std::vector<Ids> inputs(3), outputs(3);
      Numbers lengths;
      for (std::int64_t i = 0; i < cut.batches_in_epoch(epoch); ++i) {
        const PackedBatch batch = cut.batch(epoch, i);
        ASSERT_EQ(batch.sequences(), 3);
        lengths.push_back(batch.target_offsets[1]);
        for (std::size_t s = 0; s < 3; ++s)
          for (auto at = static_cast<std::size_t>(batch.target_offsets[s]);
               at < static_cast<std::size_t>(batch.target_offsets[s + 1]); ++at) {
            inputs[s].push_back(batch.target_input[at]);
            outputs[s].push_back(batch.target_output[at]);
          }
      }
      Ids joined;
      for (std::size_t s = 0; s < 3; ++s) {
        joined.insert(joined.end(), inputs[s].begin(), inputs[s].end());
        EXPECT_TRUE(std::equal(inputs[s].begin() + 1, inputs[s].end(), outputs[s].begin()));
      }
      EXPECT_EQ(joined, Ids(all.begin(), all.end() - 1));
      EXPECT_EQ(outputs[2].back(), all.back());
      lengths.pop_back();
      const auto [shortest, longest] = std::minmax_element(lengths.begin(), lengths.end());
      EXPECT_GE(*shortest, jitter > 0.0 ? 5 : 10);
      EXPECT_LE(*longest, jitter > 0.0 ? 15 : 10);
      if (jitter > 0.0) {
        EXPECT_LT(*shortest, *longest);
      }
    }
  }
}

TEST_F(BatchesTest, RefuseMoreStreamsThanTokens) {
  const TextEncoder encoder = characters(Task::language_modelling);
  const auto text = store(encoder, "abc\n");
  EXPECT_EQ(error_of([&] { batches(encoder, text, by_sequences(4, "stream")); }),
            "batch.order = \"stream\" cuts the text into 4 streams, but it has 4 tokens; lower batch.sequences");
  EXPECT_EQ(batches(encoder, text, by_sequences(3, "stream")).batches_in_epoch(0), 1);
}

TEST_F(BatchesTest, RefuseAnEmptyPart) {
  const TextEncoder encoder = characters(Task::classification);
  const auto store = this->store(encoder, "1 a\n");
  expect_error("there are no examples", [&] { Batches(store, encoder, {}, by_tokens(10), 0, 1); });
  expect_error("epoch 0 has no batch 1; it has 1", [&] { batches(encoder, store, by_tokens(10)).batch(0, 1); });
}

}  // namespace
}  // namespace heed
