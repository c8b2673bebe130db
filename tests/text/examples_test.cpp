#include "text/examples.h"

#include <gtest/gtest.h>

#include "formats/test_files.h"

namespace heed {
namespace {

using Texts = std::vector<TextExample>;

Texts read_all(const DataConfig& config, Task task, DataFiles files) {
  ExampleReader reader(config, task, std::move(files));
  Texts texts;
  for (TextExample text; reader.next(text);) texts.push_back(text);
  EXPECT_EQ(reader.bytes_read(), reader.bytes_total());
  return texts;
}

std::string refusal(const DataConfig& config, Task task, DataFiles files) {
  return error_of([&] { read_all(config, task, std::move(files)); });
}

class Examples : public testing::Test {
 protected:
  std::filesystem::path file(const std::string& name, std::string_view text) { return put(folder_ / name, text); }
  TestFolder folder_;
  DataConfig config_;
};

TEST_F(Examples, PairsTheLinesOfParallelFiles) {
  const Texts texts = read_all(config_, Task::translation,
                               {{file("a.en", "one\ntwo\n"), file("b.en.gz", gzip("three\n"))},
                                {file("a.de", "eins\r\nzwei"), file("b.de",
                                                                    "\xef\xbb\xbf"
                                                                    "drei\n")}});
  ASSERT_EQ(texts.size(), 3u);
  EXPECT_EQ(texts[0].source + "|" + texts[0].target, "one|eins");
  EXPECT_EQ(texts[1].source + "|" + texts[1].target, "two|zwei");
  EXPECT_EQ(texts[2].source + "|" + texts[2].target, "three|drei");
}

TEST_F(Examples, PairsTextsWithTheLabelsOfAnotherFileAndTheirNames) {
  config_.label_names = file("mapping.txt", "0\tanger\n1\tjoy\n").string();
  const Texts texts =
      read_all(config_, Task::classification, {{file("t.txt", "so bad\nso good\n")}, {file("l.txt", "0\n1 \n")}});
  ASSERT_EQ(texts.size(), 2u);
  EXPECT_EQ(texts[0].label + ": " + texts[0].source, "anger: so bad");
  EXPECT_EQ(texts[1].label + ": " + texts[1].source, "joy: so good");
  EXPECT_EQ(refusal(config_, Task::classification, {{folder_ / "t.txt"}, {file("m.txt", "0\n")}}),
            "parallel files: " + (folder_ / "t.txt").string() + " has 2 lines, " + (folder_ / "m.txt").string() +
                " has 1; line i of one must be the label of line i of the other");
  expect_error("the label \"2\" has no name", [&] {
    read_all(config_, Task::classification, {{folder_ / "t.txt"}, {file("n.txt", "0\n2\n")}});
  });
}

TEST_F(Examples, ReadsQuestionsAloneForALanguageModel) {
  config_.format = "squad";
  config_.words = "apart";
  config_.lowercase = true;
  const auto path = file("q.json",
                         R"({"data": [{"paragraphs": [{"context": "He is in Rome.", "qas": [
                           {"id": "1", "question": "Where's he?", "answers": [{"text": "Rome", "answer_start": 9}]},
                           {"id": "2", "question": "Who is there?", "answers": [{"text": "Ro", "answer_start": 1}]},
                           {"id": "3", "question": "Since when?", "answers": []}]}]}]})");
  const Texts texts = read_all(config_, Task::language_modelling, {{path}, {}});
  ASSERT_EQ(texts.size(), 2u);  // a question whose answer is elsewhere is left out
  EXPECT_EQ(texts[0].source, "where ' s he ?");
  EXPECT_EQ(texts[1].source, "since when ?");
  EXPECT_EQ(refusal(config_, Task::classification, {{path}, {}}),
            path.string() +
                ": data.format = \"squad\" is for question answering, and language modelling of its "
                "questions; this task is classification");
}

TEST_F(Examples, SetsWordsApartForClassification) {
  config_.words = "apart";
  EXPECT_EQ(read_all(config_, Task::classification, {{file("a.txt", "1 Good,很快!\n")}, {}})[0].source,
            "Good , 很 快 !");
}

TEST_F(Examples, ReadsSummariesWithTheirReferences) {
  config_.text_column = "document";
  config_.target_column = "summary";
  const auto path = file("s.jsonl", R"({"document": ["one.", "two."], "summary": "s", "annotated": ["a", "b"]})");
  EXPECT_TRUE(read_all(config_, Task::summarisation, {{path}, {}})[0].references.empty());
  config_.reference_column = "annotated";
  const TextExample one = read_all(config_, Task::summarisation, {{path}, {}})[0];
  EXPECT_EQ(one.source, "one.\ntwo.");
  EXPECT_EQ(one.target, "s");
  EXPECT_EQ(one.references, (std::vector<std::string>{"s", "a", "b"}));
}

TEST_F(Examples, ReadsOneMoreColumnWhenAsked) {
  const auto path = file("c.tsv", "label\ttext\tgroup\nyes\tfine\twomen\n");
  ExampleReader reader(config_, Task::classification, {{path}, {}}, "group");
  TextExample example;
  ASSERT_TRUE(reader.next(example));
  EXPECT_EQ(example.value, "women");
  expect_error("a file of lines has none", [&] {
    ExampleReader lines(config_, Task::classification, {{file("a.txt", "yes fine\n")}, {}}, "group");
    lines.next(example);
  });
}

TEST_F(Examples, GivesQuestionsWithTheirPassages) {
  const auto path =
      file("q.json", R"({"data": [{"paragraphs": [{"context": "It is in Bern.", "qas": [)"
                     R"({"id": "1", "question": "Where?", "answers": [{"text": "Bern", "answer_start": 9}]},)"
                     R"({"id": "2", "question": "Why?", "answers": []}]}]}]})");
  const Texts texts = read_all(config_, Task::question_answering, {{path, path}, {}});
  ASSERT_EQ(texts.size(), 4u);
  EXPECT_EQ(texts[0].source, "Where?");
  EXPECT_EQ(texts[1].target, "It is in Bern.");
  EXPECT_TRUE(texts[1].answers.empty());
  EXPECT_EQ(texts[2].group, 1);

  ExampleReader reader(config_, Task::question_answering, {{path}, {}});
  const NextText next = texts_of(reader, Task::question_answering, Side::source);
  std::string all;
  for (std::string_view text; next(text);) (all += text) += "|";
  EXPECT_EQ(all, "Where ?|It is in Bern .|Why ?|");
}

TEST_F(Examples, NamesBothCountsOfParallelFilesThatDiffer) {
  EXPECT_EQ(refusal(config_, Task::translation, {{file("a.en", "1\n2\n3\n4")}, {file("a.de", "1\n2\n")}}),
            "parallel files: " + (folder_ / "a.en").string() + " has 4 lines, " + (folder_ / "a.de").string() +
                " has 2; line i of one must be the translation of line i of the other");
  expect_error("b.de has 3", [&] {
    read_all(config_, Task::translation, {{file("b.en", "1\n")}, {file("b.de", "1\n2\n3\n")}});
  });
}

TEST_F(Examples, TakesColumnsOfTablesByNameAndNumber) {
  config_.text_column = "en";
  config_.target_column = "3";
  Texts texts = read_all(config_, Task::translation, {{file("a.tsv", "id\ten\tde\n1\tone\teins\n")}, {}});
  ASSERT_EQ(texts.size(), 1u);
  EXPECT_EQ(texts[0].source + "|" + texts[0].target, "one|eins");

  config_ = {};
  config_.text_column = "review";
  texts = read_all(config_, Task::classification,
                   {{file("b.csv.gz", gzip("label,review\n1,\"good, very\nmuch\"\n0,bad\n"))}, {}});
  ASSERT_EQ(texts.size(), 2u);
  EXPECT_EQ(texts[0].label + "|" + texts[0].source, "1|good, very\nmuch");

  config_.text_column = "data.text";
  texts = read_all(config_, Task::classification,
                   {{file("c.jsonl", R"({"label": 2, "data": {"text": "caf\u00e9"}})"),
                     file("d.json", R"({"label": "x", "data": {"text": ""}})")},
                    {}});
  ASSERT_EQ(texts.size(), 2u);
  EXPECT_EQ(texts[0].label + "|" + texts[0].source, "2|café");
}

TEST_F(Examples, NamesTheColumnThatIsNotThere) {
  config_.text_column = "txt";
  EXPECT_NE(refusal(config_, Task::language_modelling, {{file("a.csv", "id,text\n1,one\n")}, {}}).find("txt"),
            std::string::npos);
  config_.header = false;
  expect_error("has no column \"txt\"; name columns by numbers", [&] {
    read_all(config_, Task::language_modelling, {{file("b.csv", "1,one\n")}, {}});
  });
  config_.text_column = "3";
  expect_error("b.csv, line 1: there is no column 3; the row has 2", [&] {
    read_all(config_, Task::language_modelling, {{folder_ / "b.csv"}, {}});
  });
}

TEST_F(Examples, SplitsLabelLinesAtTheFirstWhiteSpace) {
  const Texts texts =
      read_all(config_, Task::classification, {{file("a.txt", "pos  a good one\n\n \nneg\tbad\nneg\n")}, {}});
  ASSERT_EQ(texts.size(), 3u);
  EXPECT_EQ(texts[0].label + "|" + texts[0].source, "pos|a good one");
  EXPECT_EQ(texts[1].label + "|" + texts[1].source, "neg|bad");
  EXPECT_EQ(texts[2].label + "|" + texts[2].source, "neg|");
}

TEST_F(Examples, LowersLettersWhenAsked) {
  config_.lowercase = true;
  const Texts texts = read_all(config_, Task::classification, {{file("a.txt", "POS Ärger ÉTÉ\n")}, {}});
  EXPECT_EQ(texts[0].label + "|" + texts[0].source, "POS|ärger été");
}

TEST_F(Examples, KeepsTheLineEndsOfAStreamApart) {
  ExampleReader reader(config_, Task::language_modelling, {{file("a.txt", "one\r\n\ntwo")}, {}});
  const NextText next = texts_of(reader, Task::language_modelling, Side::source);
  std::string all;
  for (std::string_view text; next(text);) all += text;
  EXPECT_EQ(all, "one\n\ntwo");
}

TEST_F(Examples, GivesOneSideOrBothToAVocabulary) {
  const DataFiles files = {{file("a.en", "one\ntwo\n")}, {file("a.de", "eins\nzwei\n")}};
  const auto texts = [&](Side side) {
    ExampleReader reader(config_, Task::translation, files);
    const NextText next = texts_of(reader, Task::translation, side);
    std::string all;
    for (std::string_view text; next(text);) all += std::string(text) + ";";
    return all;
  };
  EXPECT_EQ(texts(Side::source), "one;two;");
  EXPECT_EQ(texts(Side::target), "eins;zwei;");
  EXPECT_EQ(texts(Side::both), "one;eins;two;zwei;");
}

TEST_F(Examples, RefusesWrongFilesInOneSentence) {
  const auto lm = Task::language_modelling;
  expect_error("none.txt: cannot", [&] { read_all(config_, lm, {{folder_ / "none.txt"}, {}}); });
  expect_error("empty.txt: the file is empty", [&] { read_all(config_, lm, {{file("empty.txt", "")}, {}}); });
  expect_error("bom.txt: the file is empty", [&] { read_all(config_, lm, {{file("bom.txt", "\xef\xbb\xbf")}, {}}); });
  expect_error("blank.txt: the file is empty", [&] {
    read_all(config_, Task::classification, {{file("blank.txt", "\n \n")}, {}});
  });
  expect_error("latin.txt, line 2, column 4: byte 0xe9 is not UTF-8", [&] {
    read_all(config_, lm, {{file("latin.txt", "one\ncaf\xe9\n")}, {}});
  });
  expect_error("nul.txt, line 1, column 2: byte 0x00", [&] {
    read_all(config_, lm, {{file("nul.txt", std::string_view("a\0b\n", 4))}, {}});
  });
  config_.max_line_bytes = 1000;
  expect_error("long.txt, line 2: the line is longer than 1000 bytes", [&] {
    read_all(config_, lm, {{file("long.txt", "short\n" + std::string(1 << 20, 'x') + "\n")}, {}});
  });
  expect_error("no file is named", [&] { read_all(config_, lm, {}); });
  expect_error("2 source files and 1 target files", [&] {
    read_all(config_, Task::translation, {{folder_ / "a", folder_ / "b"}, {folder_ / "c"}});
  });
  expect_error("one side of the translation", [&] {
    read_all(config_, Task::translation, {{file("a.txt", "one\n")}, {}});
  });
  expect_error("target files are for translation", [&] { read_all(config_, lm, {{folder_ / "a"}, {folder_ / "b"}}); });
  config_.format = "label-lines";
  expect_error("\"label-lines\" is for classification", [&] { read_all(config_, lm, {{folder_ / "a.txt"}, {}}); });
}

TEST_F(Examples, ReplacesBadBytesWhenTheRecipeSaysSo) {
  config_.bad_bytes = "replace";
  const Texts texts = read_all(config_, Task::language_modelling, {{file("latin.txt", "caf\xe9\n")}, {}});
  EXPECT_EQ(texts[0].source, "caf\xef\xbf\xbd");
}

TEST_F(Examples, TakesALineOfAMegabyte) {
  const Texts texts = read_all(config_, Task::language_modelling, {{file("long.txt", std::string(1 << 20, 'x'))}, {}});
  EXPECT_EQ(texts[0].source.size(), std::size_t{1} << 20);
}

TEST_F(Examples, FindsFilesBesideTheRecipe) {
  config_.train = {"a.en"};
  config_.train_target = {"/b/a.de"};
  config_.test = {"../test.en"};
  EXPECT_EQ(data_files(config_, DataPart::train, "/recipes").source[0], "/recipes/a.en");
  EXPECT_EQ(data_files(config_, DataPart::train, "/recipes").target[0], "/b/a.de");
  EXPECT_EQ(data_files(config_, DataPart::test, "/recipes").source[0], "/recipes/../test.en");
  EXPECT_TRUE(data_files(config_, DataPart::validation, "/recipes").source.empty());
}

TEST_F(Examples, SortsLabelsByNumberOrName) {
  const auto labels = [&](const std::string& text) {
    ExampleReader reader(config_, Task::classification, {{file("a.txt", text)}, {}});
    return collect_labels(reader).names();
  };
  EXPECT_EQ(labels("10 a\n9 b\n-1 c\n9 d\n"), (std::vector<std::string>{"-1", "9", "10"}));
  EXPECT_EQ(labels("b a\n10 b\n9 c\nnan d\n"), (std::vector<std::string>{"10", "9", "b", "nan"}));
}

TEST_F(Examples, NamesALabelThatTrainingNeverSaw) {
  const Labels labels({"neg", "pos"});
  EXPECT_EQ(labels.at("pos", "here"), 1);
  EXPECT_EQ(error_of([&] { labels.at("neutral", "a.txt, line 3"); }),
            "a.txt, line 3: the label \"neutral\" was never seen in training; known are neg, pos");
}

TEST_F(Examples, EncodesATextAtRunTimeAsInTraining) {
  VocabularyConfig characters;
  characters.kind = "character";
  const NextText next = [given = false](std::string_view& text) mutable {
    text = "abc\n";
    return !std::exchange(given, true);
  };
  TextEncoder encoder{.source = train_vocabulary(characters, next), .target = {}, .labels = {}};
  using Ids = std::vector<std::int32_t>;
  EXPECT_EQ(encoder.input("ab"), (Ids{4, 5}));
  EXPECT_EQ(encoder.input(""), (Ids{3})) << "a stream goes on after the end of a line";
  encoder.documents = true;
  EXPECT_EQ(encoder.input("ab"), (Ids{1, 4, 5}));
  encoder.task = Task::translation;
  EXPECT_EQ(encoder.input("ab"), (Ids{4, 5, 2}));
  encoder.task = Task::classification;
  encoder.lowercase = true;
  EXPECT_EQ(encoder.input("AB"), (Ids{1, 4, 5}));
  encoder.cut_to = 2;
  EXPECT_EQ(encoder.input("abc").size(), 2u);
}

}  // namespace
}  // namespace heed
