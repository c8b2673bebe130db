#include "train/vector_start.h"

#include <unordered_set>

#include "formats/word_vectors_source.h"
#include "text/unicode.h"
#include "train/model_folder.h"

namespace heed {

namespace {

/// An entry of the vocabulary as a file of vectors may know it: without the mark of a subword that starts a word.
std::string word_of(const Vocabulary& vocabulary, std::int32_t id) {
  constexpr std::string_view word_start = "▁";
  std::string word = vocabulary.piece(id);
  if (vocabulary.kind() == "subword" && word.starts_with(word_start) && word.size() > word_start.size())
    word.erase(0, word_start.size());
  return word;
}

/// The embeddings of a trained model's input.
class ModelVectors : public WordVectors::Source {
 public:
  explicit ModelVectors(const std::filesystem::path& folder) : model_(load_model_folder(folder)) {
    const Vocabulary& vocabulary = *model_.text.source;
    for (auto& [name, weight] : model_.model->weights())
      if (is_input_embedding(name, model_.recipe.model.kind) && weight.shape()[0] == vocabulary.size())
        table_ = weight.value();
    if (!table_) throw Error("{}: this model has no embeddings of {} words", folder.string(), vocabulary.size());
    width = table_.width();
    for (std::int32_t id = 0; id < vocabulary.size(); ++id)  // a special token is no word that is asked for
      if (!add(word_of(vocabulary, id))) words.emplace_back();
  }
  bool find(std::string_view word, std::span<float> to) const override {
    const std::optional<std::size_t> id = number(word);
    if (id) std::copy_n(table_.floats() + static_cast<std::int64_t>(*id) * width, width, to.begin());
    return id.has_value();
  }

 private:
  ModelFolder model_;
  Tensor table_;
};

WordVectors vectors_of(const std::filesystem::path& path, const Vocabulary& vocabulary) {
  if (std::filesystem::is_directory(path)) return WordVectors(std::make_shared<ModelVectors>(path));
  std::unordered_set<std::string> wanted;
  for (std::int32_t id = Vocabulary::special_tokens; id < vocabulary.size(); ++id) {
    const std::string word = word_of(vocabulary, id);
    wanted.insert(unicode::lowercase(word));
    wanted.insert(word);
  }
  return load_word_vectors(path, [&](std::string_view word) { return wanted.contains(std::string(word)); });
}

}  // namespace

bool is_input_embedding(const std::string& name, const std::string& kind) {
  return name.ends_with("embedding.table") && (kind == "decoder" || !name.starts_with("decoder."));
}

VectorStart start_from_vectors(Model& model, const Recipe& recipe, const TextEncoder& text) {
  const Vocabulary& vocabulary = *text.source;
  const std::string& file = recipe.vocabulary.vectors;
  const WordVectors vectors = vectors_of(file, vocabulary);

  VectorStart start;
  bool found_table = false;
  for (auto& [name, weight] : model.weights()) {
    if (!is_input_embedding(name, recipe.model.kind) || weight.shape()[0] != vocabulary.size()) continue;
    found_table = true;
    const std::int64_t width = weight.shape()[1];
    if (vectors.width() != width)
      throw Error(
          "{}: its vectors are {} wide, and the model's embeddings {}; make the model as wide, or take other vectors",
          file, vectors.width(), width);
    const Tensor table = weight.value().clone();
    std::vector<float> vector(static_cast<std::size_t>(width));
    start = {};
    for (std::int32_t id = Vocabulary::special_tokens; id < vocabulary.size(); ++id) {
      const std::string word = word_of(vocabulary, id);
      ++start.words;
      if (!vectors.find(word, vector) && !vectors.find(unicode::lowercase(word), vector)) continue;
      ++start.known;
      std::copy(vector.begin(), vector.end(), table.floats() + id * width);
    }
    weight.set(table);
  }
  if (!found_table) throw Error("vocabulary.vectors: this model has no embeddings of {} words", vocabulary.size());
  if (start.known == 0)
    throw Error(
        "{}: none of the vocabulary's {} words has a vector there; are they words of another language, or subwords?",
        file, start.words);
  return start;
}

}  // namespace heed
