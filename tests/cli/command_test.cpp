#include "cli/command.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace heed::testing {
namespace {

using ::testing::TestWithParam;

std::string translation_recipe(const std::string& more = "") {
  return "task = \"translation\"\n[data]\ntrain = \"a.txt\"\ntrain_target = \"b.txt\"\n" + more +
         "[vocabulary]\nkind = \"word\"\n[batch]\nsequences = 4\n[model]\nkind = \"encoder-decoder\"\nwidth = "
         "16\nheads = 2\n"
         "layers = 1\ncontext = 32\ndropout = 0.0\n[training]\nsteps = 20\nrate = 0.01\n";
}

std::string classification_recipe() {
  return "task = \"classification\"\n[data]\ntrain = \"train.txt\"\n[vocabulary]\nkind = \"word\"\n[batch]\nsequences "
         "= 4\n"
         "[model]\nkind = \"encoder\"\nwidth = 16\nheads = 2\nlayers = 1\ncontext = 32\ndropout = "
         "0.0\n[training]\nsteps = 60\nrate = 0.01\n";
}

std::string labelled_lines() {
  std::string text;
  for (int i = 0; i < 20; ++i) text += "good what a fine film\nbad what a dull film\n";
  return text;
}

/// One sentence on stderr, nothing on stdout, exit code 1; the sentence has all the parts.
void expect_error(const Result& result, std::initializer_list<const char*> parts) {
  EXPECT_EQ(result.exit_code, 1) << result.err;
  EXPECT_EQ(result.out, "");
  const auto begin = result.err.rfind("heed: ");
  ASSERT_NE(begin, std::string::npos) << result.err;
  const std::string sentence = result.err.substr(begin);
  EXPECT_EQ(std::count(sentence.begin(), sentence.end(), '\n'), 1) << sentence;
  for (const char* part : parts)
    EXPECT_NE(sentence.find(part), std::string::npos) << part << " is not in: " << sentence;
}

TEST(Command, PrintsItsVersionAndHelp) {
  const Workplace place;
  EXPECT_EQ(place.heed("--version").out.rfind("heed ", 0), 0u);
  const Result help = place.heed("--help");
  EXPECT_EQ(help.exit_code, 0);
  for (const char* verb : {"train", "run", "eval", "info", "bench", "quickstart", "completion", "Exit codes"})
    EXPECT_NE(help.out.find(verb), std::string::npos) << verb;
}

TEST(Command, WrongUsageIsExitCodeTwo) {
  const Workplace place;
  EXPECT_EQ(place.heed("").exit_code, 2);
  EXPECT_EQ(place.heed("fly").exit_code, 2);
  EXPECT_EQ(place.heed("train --no-such-option").exit_code, 2);
}

TEST(Command, TheReferenceOfRecipesReadsBack) {
  const Workplace place;
  const Result help = place.heed("train --help-recipe");
  EXPECT_EQ(help.exit_code, 0);
  EXPECT_NE(help.out.find("[training]"), std::string::npos);
}

TEST(Command, CompletionKnowsEveryVerb) {
  const Workplace place;
  for (const char* shell : {"bash", "zsh", "fish"})
    EXPECT_NE(place.heed(std::string("completion ") + shell).out.find("quickstart"), std::string::npos);
}

TEST(Train, TrainsRunsMeasuresAndDescribesALanguageModel) {
  const Workplace place;
  place.write("text.txt", tiny_text());
  place.write("recipe.toml", tiny_language_model("text.txt"));
  ASSERT_EQ(place.heed("train recipe.toml --out model").exit_code, 0) << place.read("err.txt");
  EXPECT_NE(place.read("model/metrics.jsonl").find("validation_loss"), std::string::npos);
  const Result run = place.heed("run model 'the c' --json --max-tokens 5");
  EXPECT_EQ(run.exit_code, 0) << run.err;
  EXPECT_EQ(std::count(run.out.begin(), run.out.end(), '\n'), 1);
  const Result measured = place.heed("eval model --data text.txt --json");
  EXPECT_EQ(measured.exit_code, 0) << measured.err;
  EXPECT_NE(measured.out.find("\"perplexity\""), std::string::npos);
  EXPECT_EQ(place.heed("info model --verify").exit_code, 0);
  EXPECT_EQ(place.heed("run model 'the c' --states states.npy").exit_code, 0);
  EXPECT_EQ(place.read("states.npy").substr(1, 5), "NUMPY");
  expect_error(place.heed("train recipe.toml --out model"), {"holds a training already", "--resume", "--replace"});
}

TEST(Train, TheSameSeedGivesTheSameBytesForAnyNumberOfThreads) {
  const Workplace place;
  place.write("text.txt", tiny_text());
  place.write("recipe.toml", tiny_language_model("text.txt"));
  ASSERT_EQ(place.heed("train recipe.toml --out one --threads 1").exit_code, 0);
  ASSERT_EQ(place.heed("train recipe.toml --out three --threads 3").exit_code, 0);
  EXPECT_EQ(place.read("one/model.safetensors"), place.read("three/model.safetensors"));
}

TEST(Train, AFolderThatWasMovedStillRuns) {
  const Workplace place;
  place.write("text.txt", tiny_text());
  place.write("recipe.toml", tiny_language_model("text.txt", "steps = 3"));
  ASSERT_EQ(place.heed("train recipe.toml --out model").exit_code, 0);
  std::filesystem::create_directories(place.path() / "elsewhere");
  std::filesystem::rename(place.path() / "model", place.path() / "elsewhere" / "moved");
  EXPECT_EQ(place.heed("run elsewhere/moved 'the c' --max-tokens 3").exit_code, 0);
}

TEST(Train, ATerminatedRunSavesAndSaysHowToGoOn) {
  const Workplace place;
  place.write("text.txt", tiny_text());
  place.write("recipe.toml", tiny_language_model("text.txt", "steps = 100000000"));
  const Result stopped = place.heed("train recipe.toml --out model", "timeout --foreground -s TERM 2");
  EXPECT_NE(stopped.err.find("go on with: heed train --resume model"), std::string::npos) << stopped.err;
  EXPECT_TRUE(std::filesystem::exists(place.path() / "model/checkpoint/last.safetensors"));
  const Result again = place.heed("train --resume model --set training.steps=1");
  EXPECT_EQ(again.exit_code, 0) << again.err;
  EXPECT_NE(again.err.find("resuming after step"), std::string::npos) << again.err;
}

TEST(Train, TranslatesAndClassifies) {
  const Workplace place;
  std::string source, target;
  for (int i = 0; i < 30; ++i) source += "one two\ntwo three\n", target += "eins zwei\nzwei drei\n";
  place.write("a.txt", source);
  place.write("b.txt", target);
  place.write("recipe.toml", translation_recipe());
  ASSERT_EQ(place.heed("train recipe.toml --out translator").exit_code, 0) << place.read("err.txt");
  EXPECT_EQ(place.heed("run translator --input a.txt --beams 3").exit_code, 0);
  const std::string answers = place.read("out.txt");
  EXPECT_EQ(std::count(answers.begin(), answers.end(), '\n'), 60);
  EXPECT_NE(place.heed("eval translator --data a.txt --target b.txt --json").out.find("\"bleu\""), std::string::npos);

  place.write("train.txt", labelled_lines());
  place.write("classes.toml", classification_recipe());
  ASSERT_EQ(place.heed("train classes.toml --out classifier").exit_code, 0) << place.read("err.txt");
  EXPECT_EQ(place.heed("run classifier 'what a fine film'").out.rfind("good\t", 0), 0u);
  EXPECT_NE(place.heed("eval classifier --data train.txt --json").out.find("\"macro_f1\""), std::string::npos);
  place.write("unseen.txt", "ugly what a film\n");
  expect_error(place.heed("eval classifier --data unseen.txt"), {"unseen.txt", "ugly", "bad"});
}

TEST(WrongInput, FilesThatAreMissingEmptyOrUnequal) {
  const Workplace place;
  place.write("recipe.toml", translation_recipe());
  expect_error(place.heed("train no.toml --out model"), {"no.toml"});
  expect_error(place.heed("train recipe.toml --out model"), {"a.txt"});
  place.write("a.txt", "one\ntwo\nthree\n");
  place.write("b.txt", "");
  expect_error(place.heed("train recipe.toml --out model"), {"b.txt"});
  place.write("b.txt", "eins\nzwei\n");
  expect_error(place.heed("train recipe.toml --out model"), {"a.txt", "b.txt", "3", "2"});
}

TEST(WrongInput, RecipesWithUnknownKeysAndWrongTypes) {
  const Workplace place;
  place.write("text.txt", tiny_text());
  place.write("recipe.toml", tiny_language_model("text.txt", "stepz = 3"));
  expect_error(place.heed("train recipe.toml --out model"), {"stepz", "steps", "line"});
  place.write("recipe.toml", tiny_language_model("text.txt", "steps = \"many\""));
  expect_error(place.heed("train recipe.toml --out model"), {"training.steps", "many"});
  place.write("recipe.toml", tiny_language_model("text.txt"));
  expect_error(place.heed("train recipe.toml --out model --set model.heads=3"), {"model.width", "model.heads"});
}

TEST(WrongInput, BytesThatAreNotText) {
  const Workplace place;
  place.write("recipe.toml", tiny_language_model("text.txt", "steps = 2"));
  place.write("text.txt", "the cat\nsat \xff here\n");
  expect_error(place.heed("train recipe.toml --out model"), {"text.txt", "line 2", "column 5", "bad_bytes"});
  place.write("text.txt", std::string("the c\0t\n", 8));
  expect_error(place.heed("train recipe.toml --out model"), {"text.txt", "line 1", "NUL"});
  place.write("text.txt", std::string((1 << 20) + 1, 'a') + "\n");
  expect_error(place.heed("train recipe.toml --out model"), {"text.txt", "line 1", "max_line_bytes"});
}

TEST(WrongInput, AByteOrderMarkAndWindowsLineEndsAreRead) {
  const Workplace place;
  std::string text = "\xef\xbb\xbf";
  for (int i = 0; i < 40; ++i) text += "the cat sat on the mat.\r\n";
  place.write("text.txt", text);
  place.write("recipe.toml", tiny_language_model("text.txt", "steps = 2"));
  EXPECT_EQ(place.heed("train recipe.toml --out model").exit_code, 0) << place.read("err.txt");
  EXPECT_EQ(place.read("model/source.json").find("\\r"), std::string::npos);
}

TEST(WrongInput, ALineLongerThanTheContextIsRefusedCutOrSkipped) {
  const Workplace place;
  std::string source, target;
  for (int i = 0; i < 10; ++i) source += "one two\n", target += "eins zwei\n";
  std::string longest;
  for (int i = 0; i < 50; ++i) longest += "word ";
  place.write("a.txt", source + longest + "\n");
  place.write("b.txt", target + "zu lang\n");
  place.write("recipe.toml", translation_recipe());
  expect_error(place.heed("train recipe.toml --out model"), {"a.txt", "line 11", "32", "too_long"});
  EXPECT_EQ(place.heed("train recipe.toml --out cut --set data.too_long=cut").exit_code, 0) << place.read("err.txt");
  EXPECT_EQ(place.heed("train recipe.toml --out skip --set data.too_long=skip").exit_code, 0) << place.read("err.txt");
}

TEST(WrongInput, ModelsThatAreTruncatedAlteredOrOfAnotherArchitecture) {
  const Workplace place;
  place.write("text.txt", tiny_text());
  place.write("recipe.toml", tiny_language_model("text.txt", "steps = 2"));
  ASSERT_EQ(place.heed("train recipe.toml --out model").exit_code, 0);
  const std::string whole = place.read("model/model.safetensors");
  place.write("model/model.safetensors", whole.substr(0, whole.size() / 2));
  expect_error(place.heed("run model the"), {"model.safetensors"});
  std::string altered = whole;
  altered[altered.size() - 5] = static_cast<char>(altered[altered.size() - 5] ^ 1);
  place.write("model/model.safetensors", altered);
  expect_error(place.heed("run model the --verify"), {"model.safetensors", "altered"});
  place.write("model/model.safetensors", whole);
  std::string recipe = place.read("model/recipe.toml");
  recipe.replace(recipe.find("width = 16"), 10, "width = 32");
  place.write("model/recipe.toml", recipe);
  expect_error(place.heed("run model the"), {"model.safetensors", "another architecture"});
  expect_error(place.heed("run nowhere the"), {"nowhere"});
  expect_error(place.heed("run . the"), {"not a model folder"});
}

TEST(WrongInput, NotEnoughMemoryIsSaidBeforeTheFirstStep) {
  const Workplace place;
  place.write("text.txt", tiny_text());
  place.write("recipe.toml", tiny_language_model("text.txt"));
  expect_error(place.heed("train recipe.toml --out model --set batch.sequences=2000000000"),
               {"expected to need", "batch.sequences"});
}

TEST(WrongInput, AFullDiskLeavesTheLastGoodModel) {
  const Workplace place;
  place.write("text.txt", tiny_text());
  place.write("recipe.toml", tiny_language_model("text.txt", "steps = 5"));
  ASSERT_EQ(place.heed("train recipe.toml --out model").exit_code, 0);
  const std::string before = place.read("model/model.safetensors"),
                    checkpoint = place.read("model/checkpoint/last.safetensors");
  // A limit on the size of files refuses writes as a full disk does.
  const Result full = place.heed("train --resume model --set training.steps=10", "ulimit -f 8; trap '' XFSZ;");
  EXPECT_EQ(full.exit_code, 1) << full.err;
  EXPECT_EQ(place.read("model/model.safetensors"), before);
  EXPECT_EQ(place.read("model/checkpoint/last.safetensors"), checkpoint);
}

}  // namespace
}  // namespace heed::testing
