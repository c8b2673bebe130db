#pragma once
#include <optional>
#include <unordered_map>

#include "formats/word_vectors.h"

namespace heed {

class WordVectors::Source {
 public:
  virtual ~Source() = default;
  virtual bool find(std::string_view word, std::span<float> to) const = 0;

  /// The number of a word, in the file's order.
  std::optional<std::size_t> number(std::string_view word) const {
    const auto found = numbers_.find(std::string(word));
    if (found == numbers_.end()) return {};
    return found->second;
  }
  /// False when the word is there already.
  bool add(std::string word) {
    if (!numbers_.try_emplace(word, words.size()).second) return false;
    words.push_back(std::move(word));
    return true;
  }

  std::int64_t width = 0;
  std::vector<std::string> words;

 private:
  std::unordered_map<std::string, std::size_t> numbers_;
};

/// Whether a file that starts so (with fasttext_start bytes, if it has as many) is a fastText model.
bool is_fasttext(std::string_view start);
inline constexpr std::size_t fasttext_start = 64;

std::shared_ptr<const WordVectors::Source> load_fasttext(const std::filesystem::path& path);

}  // namespace heed
