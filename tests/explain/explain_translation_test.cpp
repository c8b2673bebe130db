#include "explain/explain_translation.h"

#include <gtest/gtest.h>
#include <heed/error.h>

#include <cstring>
#include <utility>

#include "explain/alignment.h"
#include "explain/attention_html.h"
#include "explain/attention_recorder.h"
#include "tasks/loss.h"

namespace heed {
namespace {

/// An encoder-decoder of two layers and four heads with random weights, over the characters of a text.
class ExplainTranslation : public testing::Test {
 protected:
  ExplainTranslation() {
    ModelConfig& config = config_;
    config.kind = "encoder-decoder";
    config.width = 24;
    config.heads = 4;
    config.layers = 2;
    config.feed_forward = 40;
    config.context = 32;
    VocabularyConfig characters;
    characters.kind = "character";
    bool given = false;
    text_.task = Task::translation;
    text_.source = text_.target = train_vocabulary(characters, [&](std::string_view& text) {
      text = "abc dé<&";
      return !std::exchange(given, true);
    });
    make();
  }
  void make() {
    model_ = make_model(config_, {.source = text_.source->size(), .target = text_.target->size()});
    model_->initialise(RandomKey{7});
  }

  Evaluation with() { return {*model_, text_, arena_, pool_, Precision::float32}; }
  ExplainedTranslation explained(const std::string& source, const std::string& layers = "decoder.layers.*.cross") {
    GenerationConfig generation;
    generation.max_tokens = 5;
    return explain_translation(with(), source, generation, layers);
  }

  ThreadPool pool_{2};
  Arena arena_;
  TextEncoder text_;
  ModelConfig config_;
  std::unique_ptr<Model> model_;
};

void expect_rows_sum_to_one(const Tensor& weights) {
  for (std::int64_t row = 0; row < weights.rows(); ++row) {
    double sum = 0.0;
    for (std::int64_t i = 0; i < weights.width(); ++i)
      sum += static_cast<double>(weights.floats()[row * weights.width() + i]);
    EXPECT_NEAR(sum, 1.0, 1e-6 * static_cast<double>(weights.width())) << "row " << row;
  }
}

TEST_F(ExplainTranslation, HasARowForEachTokenOfTheAnswerAndAColumnForEachOfTheSource) {
  const AttentionMap map = explained("abc é").attention;
  EXPECT_EQ(map.columns, (std::vector<std::string>{"a", "b", "c", " ", "é", "</s>"}));
  ASSERT_GE(map.rows.size(), 1u);
  ASSERT_LE(map.rows.size(), 5u);
  EXPECT_EQ(map.weights.shape(), (Shape{8, static_cast<std::int64_t>(map.rows.size()), 6}));
  EXPECT_EQ(map.heads.front(), "layer 1, head 1");
  EXPECT_EQ(map.heads.back(), "layer 2, head 4");
  expect_rows_sum_to_one(map.weights);
  expect_rows_sum_to_one(mean_over_heads(map));
}

TEST_F(ExplainTranslation, ADecoderThatGoesStepByStepIsOneLayerToo) {
  config_.network = "lstm";
  config_.input_feeding = true;
  make();
  const AttentionMap map = explained("abc é", "decoder.cross").attention;
  EXPECT_EQ(map.weights.shape(), (Shape{4, static_cast<std::int64_t>(map.rows.size()), 6}));
  expect_rows_sum_to_one(map.weights);
}

TEST_F(ExplainTranslation, EveryWordOfAnAnswerIsAlignedWithTheWordItLookedAtMost) {
  for (const char* network : {"transformer", "gru"}) {
    config_.network = network;
    config_.input_feeding = std::string(network) == "gru";
    make();
    const std::vector<std::int32_t> answer = text_.target->encode("dé");
    const std::vector<AlignedWord> words = align_words(with(), "abc", answer);
    ASSERT_EQ(words.size(), 2u);
    EXPECT_EQ(words[0].word, "d");
    EXPECT_EQ(words[1].word, "é");
    for (const AlignedWord& word : words) {
      EXPECT_NE(std::string("abc").find(word.source), std::string::npos);
      EXPECT_GT(word.weight, 0.2);  // of three characters and the end, the largest
      EXPECT_LE(word.weight, 1.0);
    }
    EXPECT_TRUE(align_words(with(), "abc", {}).empty());
  }
}

TEST_F(ExplainTranslation, TheSameSourceGivesTheSamePage) {
  EXPECT_EQ(attention_html(explained("ab").attention), attention_html(explained("ab").attention));
}

TEST_F(ExplainTranslation, ChoosesLayersByName) {
  EXPECT_EQ(explained("ab", "decoder.layers.1.cross").attention.heads.size(), 4u);
  EXPECT_THROW(explained("ab", "no.such.layer"), Error);
}

TEST_F(ExplainTranslation, RefusesAnEmptySourceAndOtherTasks) {
  EXPECT_THROW(explained(""), Error);
  text_.task = Task::language_modelling;
  EXPECT_THROW(explained("ab"), Error);
}

TEST_F(ExplainTranslation, RecorderKeepsTheHeadsOfEverySequence) {
  const std::vector<std::int32_t> ids{3, 4, 5, 6, 7};
  AttentionRecorder recorder("encoder.*", {2, 0}), all("encoder.layers.0.*");
  for (AttentionRecorder* probe : {&recorder, &all}) {
    PassOptions options;
    options.probe = probe;
    Pass pass(arena_, pool_, options);
    model_->encode(pass, {ids, sequences_of({0, 2, 5})});
  }
  ASSERT_EQ(recorder.layers().size(), 2u);
  EXPECT_EQ(recorder.layers()[1].name, "encoder.layers.1.attention");
  ASSERT_EQ(recorder.layers()[0].sequences.size(), 2u);
  EXPECT_EQ(recorder.layers()[0].sequences[0].shape(), (Shape{2, 2, 2}));
  EXPECT_EQ(recorder.layers()[0].sequences[1].shape(), (Shape{2, 3, 3}));
  for (const Tensor& weights : recorder.layers()[1].sequences) expect_rows_sum_to_one(weights);
  ASSERT_EQ(all.layers().size(), 1u);
  // Heads in the order asked for: the third head first.
  EXPECT_EQ(0, std::memcmp(recorder.layers()[0].sequences[1].floats(), all.layers()[0].sequences[1].floats() + 18,
                           9 * sizeof(float)));
  recorder.clear();
  EXPECT_TRUE(recorder.layers().empty());
}

TEST_F(ExplainTranslation, RecorderRefusesAHeadThatIsNotThere) {
  AttentionRecorder recorder("*", {4});
  PassOptions options;
  options.probe = &recorder;
  Pass pass(arena_, pool_, options);
  const std::vector<std::int32_t> ids{3, 4};
  EXPECT_THROW(model_->encode(pass, {ids, sequences_of({0, 2})}), Error);
}

}  // namespace
}  // namespace heed
