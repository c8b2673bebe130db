#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace heed {

/// Vectors of words from a file, all of one width. Words are bytes, UTF-8 or not.
class WordVectors {
 public:
  class Source;
  explicit WordVectors(std::shared_ptr<const Source> source) : source_(std::move(source)) {}

  std::int64_t width() const;
  /// The words that were read, in the file's order.
  const std::vector<std::string>& words() const;
  /// Puts the vector of a word into `to`, which is width() long; false if there is none. A fastText model makes one for
  /// a word that it lacks from the word's n-grams of characters, unless it has none of these either.
  bool find(std::string_view word, std::span<float> to) const;

 private:
  std::shared_ptr<const Source> source_;
};

/// Which words to keep of a file; empty: all.
using WantedWord = std::function<bool(std::string_view)>;

/// Reads word2vec text and binary, GloVe text (no header) and fastText text, plain or gzip, in
/// the memory that the wanted words take; and fastText .bin models (Bojanowski et al. 2017, arXiv:1607.04606), which
/// are mapped. The format is told by the contents. Of a word that stands twice the first counts; a text may have
/// another count of words than its first line says.
///
/// Throws Error, naming the file and the line, word or byte, for a line or a model of another width, what is not a
/// number, a truncated binary file or one with more in it than its header says, and a fastText model that is quantised
/// or gzipped.
WordVectors load_word_vectors(const std::filesystem::path& path, const WantedWord& wanted = {});

}  // namespace heed
