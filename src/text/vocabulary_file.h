#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace heed {

/// What FOLDER/NAME.json says of a vocabulary.
struct VocabularyFile {
  std::string kind;                  ///< character, word or subword
  std::string algorithm;             ///< subword: bpe or unigram
  std::vector<std::string> entries;  ///< character, word: the tokens from id 3 on
  std::string model;                 ///< subword: the bytes of NAME.model
};

/// A number that stands for the contents; any change of them changes it but for odds of about 1 in 2^32.
std::uint64_t fingerprint(const VocabularyFile& contents);

/// Files are replaced atomically. Throws Error when they cannot be written.
void write_vocabulary_file(const std::filesystem::path& folder, const std::string& name,
                           const VocabularyFile& contents);

/// Throws Error for a missing, truncated or altered file, naming it and the remedy.
VocabularyFile read_vocabulary_file(const std::filesystem::path& folder, const std::string& name);

}  // namespace heed
