#include "formats/word_vectors.h"

#include <cmath>
#include <cstring>
#include <map>

#include "formats/test_files.h"
#include "formats/utf8.h"

namespace heed {
namespace {

std::vector<float> vector_of(const WordVectors& vectors, std::string_view word) {
  std::vector<float> found(static_cast<std::size_t>(vectors.width()));
  if (!vectors.find(word, found)) return {};
  return found;
}

std::string bytes_of(std::initializer_list<float> values) {
  std::string bytes;
  for (const float value : values) bytes.append(reinterpret_cast<const char*>(&value), sizeof(value));
  return bytes;
}

template <class T>
std::string bytes_of(T value) {
  return {reinterpret_cast<const char*>(&value), sizeof(value)};
}

class WordVectorsTest : public testing::Test {
 protected:
  std::filesystem::path file(const std::string& text) { return put(folder_ / "x", text); }
  WordVectors load(const std::string& text, const WantedWord& wanted = {}) {
    return load_word_vectors(file(text), wanted);
  }
  std::string refusal(const std::string& text) {
    return error_of([&] { load(text); });
  }
  TestFolder folder_;
};

TEST_F(WordVectorsTest, TextIsReadWithAndWithoutHeader) {
  for (const char* text : {"2 3\nä 1 2 3 \nnew york -1 0.5 1e-3\n", "ä 1 2 3\nnew york -1 0.5 1e-3"}) {
    const WordVectors vectors = load(text);
    EXPECT_EQ(vectors.width(), 3);
    EXPECT_EQ(vectors.words(), (std::vector<std::string>{"ä", "new york"}));
    EXPECT_EQ(vector_of(vectors, "new york"), (std::vector<float>{-1, 0.5f, 1e-3f}));
    EXPECT_TRUE(vector_of(vectors, "york").empty());
  }
}

TEST_F(WordVectorsTest, BinaryIsReadWithAndWithoutLineEnds) {
  for (const char* end : {"", "\n"}) {
    const std::string text = "2 2\nthe " + bytes_of({1, 2}) + end + "ü " + bytes_of({3, 10}) + end;
    const WordVectors vectors = load(text);
    EXPECT_EQ(vectors.words(), (std::vector<std::string>{"the", "ü"}));
    EXPECT_EQ(vector_of(vectors, "ü"), (std::vector<float>{3, 10}));
  }
}

TEST_F(WordVectorsTest, OnlyWantedWordsAreKept) {
  const WordVectors vectors = load("a 1 2\nb 3 4\nc 5 6\n", [](std::string_view word) { return word == "b"; });
  EXPECT_EQ(vectors.words(), std::vector<std::string>{"b"});
  EXPECT_TRUE(vector_of(vectors, "a").empty());
}

TEST_F(WordVectorsTest, RefusesAnotherWidthAndWhatIsCut) {
  EXPECT_NE(refusal("a 1 2\nb 3\n").find("line 2: a word and 2 numbers were expected, 2 fields are there"),
            std::string::npos);
  EXPECT_NE(refusal("2 3\na 1 2 3\nb 1 x 3\n").find("line 3: \"x\" is not a number"), std::string::npos);
  const std::string binary = "2 2\nthe " + bytes_of({1, 2}) + "of " + bytes_of({3, 4});
  EXPECT_NE(refusal(binary.substr(0, binary.size() - 3)).find("truncated or of another width than 2: word 2 of 2"),
            std::string::npos);
  EXPECT_NE(refusal(binary + "more").find("more follows"), std::string::npos);
  EXPECT_NE(refusal("2 0\nthe 1").find("width of 1 to"), std::string::npos);
  EXPECT_NE(refusal("nothing of the kind\n").find("not word vectors"), std::string::npos);
}

/// A fastText model of width 2 with the words "ab" and "</s>", n-grams of 2 characters and 3 buckets.
std::string model(std::int8_t quantised = 0) {
  std::string text = bytes_of<std::int32_t>(793712314) + bytes_of<std::int32_t>(12);
  for (const std::int32_t argument : {2, 5, 5, 1, 5, 1, 2, 2, 3, 2, 2, 100}) text += bytes_of(argument);
  text += bytes_of(1e-4);
  for (const std::int32_t count : {2, 2, 0}) text += bytes_of(count);
  text += bytes_of<std::int64_t>(9) + bytes_of<std::int64_t>(-1);
  for (const char* word : {"ab", "</s>"})
    text += word + std::string(1, '\0') + bytes_of<std::int64_t>(4) + bytes_of<std::int8_t>(0);
  text += bytes_of(quantised) + bytes_of<std::int64_t>(5) + bytes_of<std::int64_t>(2);
  return text + bytes_of({1, 1, 2, 2, 10, 0, 20, 0, 30, 0});
}

TEST_F(WordVectorsTest, FastTextMakesVectorsFromNgrams) {
  const WordVectors vectors = load(model());
  EXPECT_EQ(vector_of(vectors, "</s>"), (std::vector<float>{2, 2}));
  const auto unknown = vector_of(vectors, "zz");  // <z, zz, z>
  ASSERT_EQ(unknown.size(), 2u);
  EXPECT_GE(unknown[0], 10);
  EXPECT_EQ(unknown[1], 0);
  EXPECT_FLOAT_EQ(vector_of(vectors, "ab")[1], 0.25f);  // its own row and three n-grams
}

TEST_F(WordVectorsTest, FastTextThatIsCutIsOneSentence) {
  const std::string whole = model();
  for (std::size_t size = 60; size < whole.size(); ++size)
    EXPECT_NE(refusal(whole.substr(0, size)).find("truncated"), std::string::npos) << size;
  EXPECT_NE(refusal(model(1)).find("quantised"), std::string::npos);
  std::string wide = whole;
  wide[whole.size() - 40 - 8] = 3;
  EXPECT_NE(refusal(wide).find("is 3 wide, and the model says 2"), std::string::npos);
}

TEST(SharedWordVectors, AllLoad) {
  const std::map<std::string, std::pair<std::size_t, std::int64_t>> files{
      {"EN.1-10.cbow1_wind5_hs0_neg10_size300_smpl1e-05.txt.gz", {20, 300}},
      {"IT.1-10.cbow1_wind5_hs0_neg10_size300_smpl1e-05.txt.gz", {20, 300}},
      {"crime-and-punishment.vec.gz", {291, 5}},
      {"euclidean_vectors.bin", {2747, 10}},
      {"high_precision.kv.bin", {2, 2}},
      {"high_precision.kv.txt", {2, 2}},
      {"lee_fasttext.bin", {1762, 10}},
      {"lee_fasttext.vec.gz", {1762, 10}},
      {"non_ascii_fasttext.bin", {171, 2}},
      {"pang_lee_polarity_fasttext.vec.gz", {1694, 100}},
      {"poincare_vectors.bin", {1182, 10}},
      {"pretrained.vec", {1, 5}},
      {"test_glove.txt.gz", {76, 50}}};
  for (const auto& [name, size] : files) {
    const auto path = shared_file("vectors/" + name);
    SKIP_WITHOUT(path);
    const WordVectors vectors = load_word_vectors(path);
    EXPECT_EQ(vectors.words().size(), size.first) << name;
    EXPECT_EQ(vectors.width(), size.second) << name;
    for (const std::string& word : vectors.words())
      for (const float value : vector_of(vectors, word)) ASSERT_TRUE(std::isfinite(value)) << name << ": " << word;
  }
}

TEST(SharedWordVectors, OfAModelEqualThoseThatFastTextWrote) {
  const auto model = shared_file("vectors/lee_fasttext.bin"), text = shared_file("vectors/lee_fasttext.vec.gz");
  SKIP_WITHOUT(model);
  const WordVectors computed = load_word_vectors(model), written = load_word_vectors(text);
  ASSERT_EQ(computed.words(), written.words());
  for (const std::string& word : written.words()) {
    const auto found = vector_of(computed, word), wanted = vector_of(written, word);
    for (std::size_t i = 0; i < found.size(); ++i)
      ASSERT_NEAR(found[i], wanted[i], 1e-4 * std::max(1.0f, std::abs(wanted[i]))) << word;
  }
  EXPECT_FALSE(vector_of(computed, "rejectionist").empty());  // in no list, but its n-grams are
}

TEST(SharedWordVectors, WordsKeepTheirBytes) {
  const auto path = shared_file("vectors/crime-and-punishment.vec.gz");
  SKIP_WITHOUT(path);
  EXPECT_FALSE(vector_of(load_word_vectors(path), "и").empty());
  bool ill_formed = false;
  const WordVectors polarity = load_word_vectors(shared_file("vectors/pang_lee_polarity_fasttext.vec.gz"));
  for (const std::string& word : polarity.words()) ill_formed = ill_formed || !valid_utf8(word);
  EXPECT_TRUE(ill_formed);
}

}  // namespace
}  // namespace heed
