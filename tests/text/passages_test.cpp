#include "text/passages.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "formats/test_files.h"
#include "text/batches.h"

namespace heed {
namespace {

TextEncoder words(const std::string& all) {
  VocabularyConfig config;
  config.kind = "word";
  int given = 0;
  TextEncoder text;
  text.task = Task::question_answering;
  text.source = train_vocabulary(config, [&](std::string_view& line) {
    line = all;
    return given++ == 0;
  });
  return text;
}

TEST(Passages, TokensKnowTheirWords) {
  const TextEncoder text = words("cats and dogs ,");
  const std::string passage = "Cats, dogs";
  const PassageTokens tokens = passage_tokens(text, passage);
  ASSERT_EQ(tokens.ids.size(), 3u);
  EXPECT_EQ(tokens.ids[0], Vocabulary::unknown());
  EXPECT_EQ(tokens.words[2].begin, 6u);
  EXPECT_EQ(tokens.tokens_of(6, 10), (std::pair<std::int32_t, std::int32_t>{2, 2}));
  EXPECT_EQ(tokens.tokens_of(2, 5), (std::pair<std::int32_t, std::int32_t>{0, 1}));  // within a word is all of it
  EXPECT_EQ(tokens.tokens_of(5, 6), (std::pair<std::int32_t, std::int32_t>{-1, -1}));
}

TEST(Passages, WindowsCoverThePassageAndAreNoLongerThanAllowed) {
  for (const std::int64_t tokens : {0, 1, 7, 8, 20, 21})
    for (const std::int64_t stride : {1, 3, 50}) {
      std::int64_t covered = 0;
      for (const PassageWindow& window : passage_windows(tokens, 2, 12, stride)) {
        EXPECT_LE(window.first, covered);
        EXPECT_LE(window.count, 8);
        covered = window.first + window.count;
      }
      EXPECT_EQ(covered, tokens);
    }
  EXPECT_EQ(passage_windows(1000, 5, 0, 1).size(), 1u);
}

class QuestionStoreTest : public testing::Test {
 protected:
  TestFolder folder_;
};

TEST_F(QuestionStoreTest, WindowsHoldTheAnswerOrSayThatTheyDoNot) {
  const auto article = [](const std::string& id) {
    return R"({"paragraphs": [{"context": "a b c d e f", "qas": [{"id": ")" + id +
           R"(", "question": "c", "answers": [{"text": "e f", "answer_start": 8}]},)"
           R"({"id": "n)" +
           id + R"(", "question": "x", "answers": []}]}]})";
  };
  const auto file = put(folder_ / "q.json", R"({"data": [)" + article("1") + "," + article("2") + "]}");
  DataConfig config;
  config.stride = 2;
  const TextEncoder text = words("a b c d e f");
  // A question, its window of at most 4 tokens and two tokens around it: windows a-d, c-f of each question.
  const auto store = std::make_shared<TokenStore>(open_token_store(folder_ / "store", text, config, {{file}, {}}, 7));
  ASSERT_EQ(store->size(), 8);
  EXPECT_EQ(store->example(0).answer_first, -1);
  EXPECT_EQ(store->example(1).answer_first, 2);
  EXPECT_EQ(store->example(1).answer_last, 3);
  EXPECT_EQ(store->example(3).answer_first, -1);
  EXPECT_EQ(store->length(0), 7);

  Batches batches(store, text, whole(*store), {.sequences = 2, .order = "sequential"}, 0, 1);
  const PackedBatch batch = batches.batch(0, 0);
  EXPECT_EQ(batch.answers_first, (std::vector<std::int32_t>{0, 3}));
  EXPECT_EQ(batch.answers_last, (std::vector<std::int32_t>{0, 4}));
  EXPECT_EQ(batch.source_offsets, (std::vector<std::int64_t>{0, 2, 4}));
  EXPECT_EQ(batch.target_offsets, (std::vector<std::int64_t>{0, 5, 10}));
  EXPECT_EQ(batch.target_input.front(), Vocabulary::end());
  EXPECT_EQ(batch.target_tokens, 4);

  config.validation_split = 0.5;
  const auto [train, validation] = split_validation(*store, config, 7);
  ASSERT_EQ(train.examples.size(), 4u);
  for (const std::int64_t example : train.examples)
    EXPECT_EQ(store->label(example), store->label(train.examples.front()));
  EXPECT_NE(store->label(train.examples.front()), store->label(validation.examples.front()));
  config.validation_split = 0;
  config.validation_every = 2;
  expect_error("whole articles", [&] { split_validation(*store, config, 7); });
}

TEST(Passages, ArticlesAreForTrainingValidationOrTestingAlone) {
  DataConfig config;
  config.validation_split = 0.05;
  const std::vector<bool> before = articles_of(DataPart::validation, 442, config, 1);
  config.test_split = 0.05;
  int trained = 0, validated = 0, tested = 0;
  const std::vector<bool> train = articles_of(DataPart::train, 442, config, 1),
                          validation = articles_of(DataPart::validation, 442, config, 1),
                          test = articles_of(DataPart::test, 442, config, 1);
  for (std::size_t i = 0; i < 442; ++i) {
    EXPECT_EQ(train[i] + validation[i] + test[i], 1) << i;
    trained += train[i], validated += validation[i], tested += test[i];
  }
  EXPECT_EQ(trained, 397);
  EXPECT_EQ(validated, 22);
  EXPECT_EQ(tested, 23);
  EXPECT_EQ(std::count(before.begin(), before.end(), true), 23);
  EXPECT_NE(articles_of(DataPart::test, 442, config, 2), test);
}

}  // namespace
}  // namespace heed
