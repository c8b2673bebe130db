// Files of word vectors of every kind: each word that is listed has a vector, and so may others (fastText).
#include "folder.h"
#include "formats/word_vectors.h"
#include "input.h"

using namespace heed;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const FuzzFolder folder;
  const auto path = folder.put("x", input_of(data, size));
  try {
    const WordVectors vectors = load_word_vectors(path);
    must(vectors.width() > 0);
    if (vectors.width() > 1 << 16) return 0;
    std::vector<float> vector(static_cast<std::size_t>(vectors.width()));
    for (const std::string& word : vectors.words()) must(vectors.find(word, vector));
    vectors.find("Würde", vector);
  } catch (const Error& error) {
    must(std::string_view(error.what()).find("x") != std::string_view::npos);
  }
  return 0;
}
