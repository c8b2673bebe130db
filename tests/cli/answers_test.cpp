// What `heed run` answers, task by task: in words, and with --json.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "cli/command.h"

namespace heed::testing {

namespace {

/// The value of a key in one line of JSON, as it stands there: a text without its quotes, a number, null.
std::string value_of(const std::string& json, const std::string& key) {
  const std::size_t at = json.find("\"" + key + "\":");
  if (at == std::string::npos) return "(no " + key + ")";
  const std::size_t begin = at + key.size() + 3;
  if (json[begin] == '"') return json.substr(begin + 1, json.find('"', begin + 1) - begin - 1);
  return json.substr(begin, json.find_first_of(",}]", begin) - begin);
}
double number_of(const std::string& json, const std::string& key) { return std::stod(value_of(json, key)); }

/// The sum of all numbers under a key.
double sum_of(std::string json, const std::string& key) {
  double sum = 0.0;
  for (std::size_t at; (at = json.find("\"" + key + "\":")) != std::string::npos; json = json.substr(at + 1))
    sum += number_of(json.substr(at), key);
  return sum;
}

const std::string passage = "Zoë Müller, a painter, lives in a small town near Łódź.";

/// Questions about who lives where: articles of one passage with two questions.
std::string squad_file() {
  std::string articles;
  const std::pair<std::string, std::string> people[] = {{"Anna", "Rome"},  {"Béla", "Paris"}, {"Clara", "Wien"},
                                                        {"David", "Oslo"}, {"Emma", "Köln"},  {"Franz", "Bern"}};
  for (const auto& [name, town] : people) {
    const bool accent = name == "Béla";  // offsets count characters
    const std::string start = std::to_string(name.size() - accent + 17);
    articles += (articles.empty() ? "" : ",") + ("{\"title\":\"" + name + "\",\"paragraphs\":[{\"context\":\"" + name) +
                ", who lives in a " + town + " flat, paints.\",\"qas\":[";
    for (const std::string question : {"Where does the painter live?", "What town is it?"})
      articles += (question[2] == 'a' ? ",{\"id\":\"" : "{\"id\":\"") + name + question.substr(0, 4) +
                  "\",\"question\":\"" + question + "\",\"answers\":[{\"text\":\"" + town +
                  "\",\"answer_start\":" + start + "}]}";
    articles += "]}]}";
  }
  return "{\"version\":\"1.1\",\"data\":[" + articles + "]}";
}

const char* const reader_recipe =
    "task = \"question-answering\"\n[data]\ntrain = \"squad.json\"\nlowercase = true\nvalidation_split = 0.2\n"
    "test_split = 0.2\n[vocabulary]\nkind = \"word\"\n[batch]\nsequences = 4\n[model]\nkind = \"encoder\"\n"
    "network = \"lstm\"\nwidth = 8\nlayers = 1\ndropout = 0.0\npooling_score = \"scaled_dot\"\ncontext = 64\n"
    "[training]\nrate = 0.02\nsteps = 20\nbest_by = \"f1\"\n";

TEST(Answers, OfAQuestionAreASpanOfThePassageAndItsCharacters) {
  const Workplace place;
  place.write("squad.json", squad_file());
  place.write("reader.toml", reader_recipe);
  place.write("page.txt", passage);
  const Result trained = place.heed("train reader.toml --out reader");
  ASSERT_EQ(trained.exit_code, 0) << trained.err;
  EXPECT_NE(trained.err.find("f1 "), std::string::npos) << trained.err;

  const Result said = place.heed("run reader --passage page.txt 'Where does the painter live?'");
  ASSERT_EQ(said.exit_code, 0) << said.err;
  const std::string answer = said.out.substr(0, said.out.find('\n'));
  EXPECT_NE(passage.find(answer), std::string::npos) << said.out;
  EXPECT_EQ(said.out, answer + "\n");

  const Result found = place.heed("run reader --passage page.txt --json 'Where does the painter live?'");
  EXPECT_EQ(value_of(found.out, "question"), "Where does the painter live?");
  EXPECT_EQ(value_of(found.out, "answer"), answer);
  const auto characters = [](const std::string& text) {
    return std::count_if(text.begin(), text.end(),
                         [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; });
  };
  const auto start = static_cast<std::ptrdiff_t>(number_of(found.out, "start"));
  EXPECT_EQ(number_of(found.out, "end"), static_cast<double>(start + characters(answer)));
  bool stands_there = false;  // perhaps not the first time that the passage has these words
  for (std::size_t at = 0; (at = passage.find(answer, at)) != std::string::npos; ++at)
    stands_there |= characters(passage.substr(0, at)) == start;
  EXPECT_TRUE(stands_there) << found.out;
  EXPECT_GT(number_of(found.out, "probability"), 0.0);
  EXPECT_LE(number_of(found.out, "probability"), 1.0);

  place.write("lines.txt", "Where does she live?\t" + passage + "\nWho is it?\tAnna.\n");
  const Result lines = place.heed("run reader --input lines.txt");
  EXPECT_EQ(std::count(lines.out.begin(), lines.out.end(), '\n'), 2) << lines.out;
  EXPECT_NE(place.heed("run reader 'Where does she live?'").err.find("a question, a tab and a passage"),
            std::string::npos);
}

TEST(Answers, AreMeasuredOnTheArticlesKeptApart) {
  const Workplace place;
  place.write("squad.json", squad_file());
  place.write("reader.toml", reader_recipe);
  ASSERT_EQ(place.heed("train reader.toml --out reader --set training.steps=2").exit_code, 0);
  const Result measured = place.heed("eval reader --json --answers answers.txt");
  ASSERT_EQ(measured.exit_code, 0) << measured.err;
  EXPECT_GE(number_of(measured.out, "f1"), number_of(measured.out, "exact_match"));
  const std::string answers = place.read("answers.txt");
  EXPECT_EQ(std::count(answers.begin(), answers.end(), '\n'), 4);  // two articles of six
}

TEST(Answers, OfAClassifierHaveProbabilitiesAndTheWeightOfEachWord) {
  const Workplace place;
  place.write("train.txt", "good a fine film\nbad a dull film\ngood fine and warm\nbad dull and cold\n");
  place.write("classifier.toml",
              "task = \"classification\"\n[data]\ntrain = \"train.txt\"\nformat = \"label-lines\"\n"
              "[vocabulary]\nkind = \"word\"\n[batch]\nsequences = 4\n[model]\nkind = \"encoder\"\nnetwork = \"gru\"\n"
              "width = 8\nlayers = 1\npooling = \"attention\"\n[training]\nsteps = 10\n");
  const Result trained = place.heed("train classifier.toml --out classifier");
  ASSERT_EQ(trained.exit_code, 0) << trained.err;

  const Result said = place.heed("run classifier 'a fine film'");
  const std::string label = said.out.substr(0, said.out.find('\t'));
  EXPECT_TRUE(label == "good" || label == "bad") << said.out;
  EXPECT_GE(std::stod(said.out.substr(said.out.find('\t'))), 0.5);

  const Result found = place.heed("run classifier --json 'a fine film'");
  EXPECT_EQ(value_of(found.out, "text"), "a fine film");
  EXPECT_EQ(value_of(found.out, "class"), label);
  EXPECT_NEAR(number_of(found.out, "good") + number_of(found.out, "bad"), 1.0, 1e-6);
  EXPECT_EQ(value_of(found.out, "probability"), value_of(found.out, label));
  EXPECT_NEAR(sum_of(found.out, "weight"), 1.0, 1e-5);
  for (const char* word : {"a", "fine", "film"})
    EXPECT_NE(found.out.find("{\"word\":\"" + std::string(word) + "\",\"weight\":"), std::string::npos) << found.out;
}

TEST(Answers, OfASummariserAreOneLineOrAnObject) {
  const Workplace place;
  std::string pairs;
  for (const char* word : {"rain", "wind", "snow", "sun"})
    pairs +=
        "{\"text\":\"on monday there was much " + std::string(word) + " in town .\",\"target\":\"" + word + "\"}\n";
  place.write("pairs.jsonl", pairs);
  place.write("summariser.toml",
              "task = \"summarisation\"\n[data]\ntrain = \"pairs.jsonl\"\n[vocabulary]\nkind = \"word\"\n"
              "[batch]\nsequences = 4\n[model]\nkind = \"encoder-decoder\"\nwidth = 16\nheads = 2\nlayers = 1\n"
              "context = 32\n[training]\nsteps = 10\n[generation]\nmax_tokens = 4\n");
  const Result trained = place.heed("train summariser.toml --out summariser");
  ASSERT_EQ(trained.exit_code, 0) << trained.err;
  const std::string text = "on monday there was much rain in town .";
  const Result said = place.heed("run summariser '" + text + "'");
  ASSERT_EQ(said.exit_code, 0) << said.err;
  EXPECT_EQ(std::count(said.out.begin(), said.out.end(), '\n'), 1) << said.out;

  const Result found = place.heed("run summariser --json '" + text + "'");
  EXPECT_EQ(value_of(found.out, "input"), text);
  EXPECT_EQ(value_of(found.out, "answer") + "\n", said.out);
  EXPECT_LE(number_of(found.out, "log_probability"), 0.0);
  EXPECT_LE(number_of(found.out, "tokens"), 5.0);
  EXPECT_TRUE(value_of(found.out, "stop") == "end" || value_of(found.out, "stop") == "length") << found.out;
}

TEST(Answers, OfAModelOfSeveralTasksAreAskedForByTheTask) {
  const Workplace place;
  place.write("film.txt", "good a fine film\nbad a dull film\ngood fine and warm\nbad dull and cold\n");
  place.write("kind.txt", "question who is it ?\nstatement it is a film\nquestion is it ?\nstatement a film\n");
  place.write("both.toml",
              "task = \"multi-task\"\n[tasks.film]\ntrain = \"film.txt\"\ntest = \"film.txt\"\n[tasks.kind]\n"
              "train = \"kind.txt\"\ntest = \"kind.txt\"\n[data]\nformat = \"label-lines\"\n[vocabulary]\n"
              "kind = \"word\"\n[batch]\nsequences = 2\n[model]\nkind = \"encoder\"\nwidth = 8\nheads = 2\nlayers = 1\n"
              "[training]\nsteps = 4\n");
  const Result trained = place.heed("train both.toml --out both");
  ASSERT_EQ(trained.exit_code, 0) << trained.err;
  const Result measured = place.heed("eval both");
  EXPECT_LT(measured.out.find("task film"), measured.out.find("task kind")) << measured.out;
  EXPECT_EQ(place.heed("eval both --json").out.find("{\"film\":{\"accuracy\":"), 0u);
  EXPECT_EQ(place.heed("run both --task film 'a fine film'").exit_code, 0);
  EXPECT_NE(place.heed("run both 'a fine film'").err.find("name one of film, kind with --task"), std::string::npos);
}

}  // namespace

}  // namespace heed::testing
