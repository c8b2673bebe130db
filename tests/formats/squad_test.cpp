#include "formats/squad.h"

#include "formats/test_files.h"

namespace heed {
namespace {

/// A file of one article with one paragraph.
std::string file_of(const std::string& passage, const std::string& questions) {
  return R"({"version": "v2.0", "data": [{"title": "T", "paragraphs": [{"qas": [)" + questions + R"(], "context": ")" +
         passage + R"("}]}]})";
}

const std::string good = file_of(
    "Zürich, 東京 and Bern.", R"({"id": "q1", "question": "Where?", "answers": [{"text": "東京", "answer_start": 8}]},)"
                              R"({"id": "q2", "question": "Who?", "is_impossible": true, "answers": [],)"
                              R"( "plausible_answers": [{"text": "Bern", "answer_start": 15}]})");

TEST(Squad, OffsetsAreInCharacters) {
  const SquadQuestions found = parse_squad(good, "x");
  ASSERT_EQ(found.questions.size(), 2u);
  const PassageQuestion& first = found.questions[0];
  EXPECT_EQ(first.id, "q1");
  EXPECT_EQ(first.question, "Where?");
  ASSERT_EQ(first.answers.size(), 1u);
  EXPECT_EQ(first.passage->substr(static_cast<std::size_t>(first.answers[0].begin), 6), "東京");
  EXPECT_EQ(first.answers[0].end - first.answers[0].begin, 6);
  EXPECT_EQ(first.passage, found.questions[1].passage);
  EXPECT_TRUE(found.questions[1].answers.empty());
}

TEST(Squad, AnAnswerThatIsNotAtItsOffsetNamesTheQuestion) {
  const std::string wrong =
      file_of("A b c.", R"({"id": "q7", "question": "?", "answers": [{"text": "b", "answer_start": 4}]},)"
                        R"({"id": "q8", "question": "?", "answers": [{"text": "b", "answer_start": 2}]})");
  EXPECT_EQ(
      error_of([&] { parse_squad(wrong, "x"); }),
      "x: question q7: the answer \"b\" is not at its offset 4, where the passage has \"c\"; mend the file, or set "
      "data.bad_answers = \"drop\" to go on without such answers");
  const SquadQuestions found = parse_squad(wrong, "x", BadAnswers::drop);
  ASSERT_EQ(found.questions.size(), 1u);
  EXPECT_EQ(found.questions[0].id, "q8");
  EXPECT_EQ(found.dropped_questions, 1);
  for (const char* offset : {"-1", "6", "7000000000000"})
    expect_error("is not at its offset", [&] {
      parse_squad(file_of("A b c.", R"({"id": "q", "question": "?", "answers": [{"text": "b", "answer_start": )" +
                                        std::string(offset) + "}]}"),
                  "x");
    });
}

TEST(Squad, WhatIsMissingIsNamedWithItsPlace) {
  expect_error("x: not JSON, at byte", [] { parse_squad(good.substr(0, 50), "x"); });
  expect_error("a list \"data\" of articles", [] { parse_squad("{}", "x"); });
  expect_error("a list \"data\" of articles", [] { parse_squad("[1]", "x"); });
  expect_error("a list \"data\" of articles", [] { parse_squad(R"({"data": [1]})", "x"); });
  expect_error("article 1 has no \"paragraphs\"", [] { parse_squad(R"({"data": [{}]})", "x"); });
  expect_error("article 1, paragraph 1 has no \"id\"", [] { parse_squad(file_of("a", "{}"), "x"); });
  expect_error("question q: \"answer_start\" is JSON string", [] {
    parse_squad(file_of("a", R"({"id": "q", "question": "?", "answers": [{"text": "a", "answer_start": "0"}]})"), "x");
  });
  expect_error("holds no question", [] { parse_squad(R"({"data": []})", "x"); });
}

TEST(Squad, TheTrainingFileIsRead) {
  const auto path = shared_file("qa/squad/train-v1.1.json.gz");
  SKIP_WITHOUT(path);
  const SquadQuestions found = read_squad(path, BadAnswers::drop);
  EXPECT_EQ(found.articles, 442);
  EXPECT_GT(found.questions.size(), 80000u);
  EXPECT_EQ(found.dropped_questions, 0);
  EXPECT_EQ(found.questions.back().article, 441);
}

}  // namespace
}  // namespace heed
