#include "tasks/question_answering.h"

#include <gtest/gtest.h>
#include <heed/error.h>

#include <algorithm>

#include "text/vocabulary.h"

namespace heed {
namespace {

/// Points at the words of the passage that the question has, too, and at a window's first token when there are none.
class Pointing final : public Model {
 public:
  void visit(const WeightVisitor&) override {}
  int slots() const override { return 0; }
  std::int64_t context() const override { return 100; }
  Var encode(Pass& pass, const TokenRows&) const override { return none(pass); }
  Var decode(Pass& pass, const TokenRows&, const Var&) const override { return none(pass); }
  void remember(const Var&, const TokenRows&) const override {}
  Var summarise(const Var& hidden) const override { return hidden; }
  Var output_weight(Pass& pass) const override {
    return pass.input(Tensor::from({1.0f, 0.0f, 0.0f, 1.0f}).reshaped({2, 2}), nullptr);
  }
  Var output_bias(Pass&) const override { return {}; }

  Var encode_pair(Pass& pass, const TokenRows& question, const TokenRows& passage) const override {
    Tensor scores({static_cast<std::int64_t>(passage.ids.size()), 2});
    for (std::int64_t i = 0; i < passage.sequences->count(); ++i) {
      const auto asked = question.ids.subspan(static_cast<std::size_t>(question.sequences->begin(i)),
                                              static_cast<std::size_t>(question.sequences->length(i)));
      const std::int64_t begin = passage.sequences->begin(i), end = begin + passage.sequences->length(i);
      EXPECT_EQ(passage.ids[static_cast<std::size_t>(begin)], Vocabulary::end());
      EXPECT_EQ(asked.front(), Vocabulary::begin());
      const auto in_question = [&](std::int64_t t) {
        return t > begin && t < end &&
               std::find(asked.begin(), asked.end(), passage.ids[static_cast<std::size_t>(t)]) != asked.end();
      };
      std::int64_t longest = 0;
      for (std::int64_t t = begin; t < end; ++t) {
        std::int64_t run = 0;
        while (in_question(t + run)) ++run;
        if (run == 0 || in_question(t - 1)) continue;
        // The longer what is found, the surer it is.
        scores.floats()[2 * t] += 5.0f * static_cast<float>(run);
        scores.floats()[2 * (t + run - 1) + 1] += 5.0f * static_cast<float>(run);
        longest = std::max(longest, run);
      }
      scores.floats()[2 * begin] = scores.floats()[2 * begin + 1] = longest > 0 ? -1.0f : 4.0f;
    }
    return pass.input(scores, passage.sequences);
  }

 private:
  static Var none(Pass& pass) { return pass.input(Tensor({0, 2}), nullptr); }
};

class QuestionAnsweringTest : public testing::Test {
 protected:
  QuestionAnsweringTest() {
    VocabularyConfig config;
    config.kind = "word";
    int given = 0;
    text_.task = Task::question_answering;
    text_.source = train_vocabulary(config, [&](std::string_view& text) {
      text = "the black cat sat on a mat , in Zürich .";
      return given++ == 0;
    });
  }
  std::vector<SpanAnswer> ask(const std::vector<PassageQuery>& queries, const SpanOptions& options = {}) {
    return answer_questions({model_, text_, arena_, pool_, Precision::float32}, queries, options);
  }
  Pointing model_;
  TextEncoder text_;
  Arena arena_{1 << 24};
  ThreadPool pool_{1};
};

TEST_F(QuestionAnsweringTest, SpansAreGivenInCharactersOfThePassage) {
  const std::vector<SpanAnswer> answers = ask({{"black cat", "In Zürich, the black\ncat sat."}, {"mat", "on a mat"}});
  EXPECT_EQ(answers[0].text, "black\ncat");
  EXPECT_EQ(answers[0].start, 15);
  EXPECT_EQ(answers[0].end, 24);
  EXPECT_GT(answers[0].probability, 0.5);
  EXPECT_LE(answers[0].probability, 1);
  EXPECT_EQ(answers[1].text, "mat");
}

TEST_F(QuestionAnsweringTest, WindowsFindWhatIsFarBehind) {
  std::string passage;
  for (int i = 0; i < 40; ++i) passage += "the mat , ";
  const std::size_t at = passage.size();
  passage += "black cat . ";
  for (int i = 0; i < 7; ++i) passage += "on a ";
  for (const std::int64_t stride : {1, 3, 6}) {
    const SpanAnswer answer = ask({{"black cat", passage}}, {.longest = 12, .stride = stride}).front();
    EXPECT_EQ(answer.text, "black cat") << stride;
    EXPECT_GE(answer.start, static_cast<std::int64_t>(at));
  }
}

TEST_F(QuestionAnsweringTest, SilenceIsAnAnswerWhereItMayBe) {
  const std::vector<PassageQuery> queries{{"Zürich", "the cat sat"}, {"cat", "the cat sat"}, {"cat", ""}};
  const std::vector<SpanAnswer> silent = ask(queries, {.may_be_silent = true});
  EXPECT_EQ(silent[0].text, "");
  EXPECT_EQ(silent[0].start, -1);
  EXPECT_FALSE(silent[0].best.empty());
  EXPECT_GT(silent[0].no_answer, 0);
  EXPECT_EQ(silent[1].text, "cat");
  EXPECT_EQ(silent[2].text, "");
  EXPECT_FALSE(ask(queries)[0].text.empty());
  EXPECT_EQ(ask(queries, {.may_be_silent = true, .no_answer_threshold = 100})[0].start, 0);
}

TEST_F(QuestionAnsweringTest, AnswersAreNoLongerThanAsked) {
  const SpanAnswer answer = ask({{"black cat sat on", "black cat sat on"}}, {.longest_answer = 2}).front();
  EXPECT_TRUE(answer.text == "black cat" || answer.text == "sat on" || answer.text == "black" || answer.text == "on")
      << answer.text;
}

}  // namespace
}  // namespace heed
