#include "text/entry_vocabulary.h"

#include <heed/error.h>

#include <algorithm>
#include <unordered_map>

#include "formats/utf8.h"
#include "text/unicode.h"

namespace heed {

namespace {

constexpr const char* special_pieces[] = {"<unk>", "<s>", "</s>"};

class EntryVocabulary : public Vocabulary {
 public:
  explicit EntryVocabulary(VocabularyFile contents) : contents_(std::move(contents)) {}
  std::string kind() const override { return contents_.kind; }
  std::int32_t size() const override { return special_tokens + static_cast<std::int32_t>(contents_.entries.size()); }
  std::string piece(std::int32_t id) const override {
    if (id < 0 || id >= size()) throw Error("vocabulary: there is no token {}; it has {}", id, size());
    return id < special_tokens ? special_pieces[id] : contents_.entries[static_cast<std::size_t>(id - special_tokens)];
  }
  std::uint64_t fingerprint() const override { return heed::fingerprint(contents_); }
  void save(const std::filesystem::path& folder, const std::string& name) const override {
    write_vocabulary_file(folder, name, contents_);
  }

 protected:
  /// f(entry, id) for each entry.
  void for_each_entry(auto&& f) const {
    for (std::size_t i = 0; i < contents_.entries.size(); ++i)
      f(contents_.entries[i], special_tokens + static_cast<std::int32_t>(i));
  }

 private:
  VocabularyFile contents_;
};

class CharacterVocabulary final : public EntryVocabulary {
 public:
  explicit CharacterVocabulary(VocabularyFile contents) : EntryVocabulary(std::move(contents)) {
    for_each_entry([&](const std::string& entry, std::int32_t id) {
      const Utf8Character character = entry.empty() ? Utf8Character{.valid = false} : decode_utf8(entry, 0);
      if (!character.valid || static_cast<std::size_t>(character.bytes) != entry.size())
        throw Error("vocabulary: token {} (\"{}\") is not one character", id, entry);
      if (character.code >= ids_.size()) ids_.resize(character.code + 1, unknown());
      if (ids_[character.code] != unknown()) throw Error("vocabulary: the character \"{}\" is there twice", entry);
      ids_[character.code] = id;
    });
  }

  std::vector<std::int32_t> encode(std::string_view text) const override {
    std::vector<std::int32_t> ids;
    ids.reserve(text.size());
    for (std::size_t at = 0; at < text.size();) {
      const Utf8Character character = decode_utf8(text, at);
      ids.push_back(id_of(character.code));
      at += static_cast<std::size_t>(character.bytes);
    }
    return ids;
  }

  std::string decode(std::span<const std::int32_t> ids) const override {
    std::string text;
    for (const std::int32_t id : ids) {
      if (id == unknown())
        append_utf8(text, replacement_character);
      else if (id != begin() && id != end())
        text += piece(id);
    }
    return text;
  }

  std::int32_t line_end() const override { return id_of(U'\n') == unknown() ? end() : id_of(U'\n'); }

 private:
  std::int32_t id_of(char32_t code) const { return code < ids_.size() ? ids_[code] : unknown(); }
  std::vector<std::int32_t> ids_;  // of each code point up to the highest entry
};

struct TextHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
};
template <class T>
using ByText = std::unordered_map<std::string, T, TextHash, std::equal_to<>>;

class WordVocabulary final : public EntryVocabulary {
 public:
  explicit WordVocabulary(VocabularyFile contents) : EntryVocabulary(std::move(contents)) {
    for_each_entry([&](const std::string& entry, std::int32_t id) {
      if (!ids_.emplace(entry, id).second) throw Error("vocabulary: the word \"{}\" is there twice", entry);
    });
  }

  std::vector<std::int32_t> encode(std::string_view text) const override {
    std::vector<std::int32_t> ids;
    for (const std::string_view word : unicode::words(text)) {
      const auto found = ids_.find(word);
      ids.push_back(found == ids_.end() ? unknown() : found->second);
    }
    return ids;
  }

  std::string decode(std::span<const std::int32_t> ids) const override {
    std::string text;
    for (const std::int32_t id : ids) {
      if (id == begin() || id == end()) continue;
      if (!text.empty()) text += ' ';
      text += piece(id);
    }
    return text;
  }

 private:
  ByText<std::int32_t> ids_;
};

/// The most frequent of the counted texts, as far as the recipe allows, most frequent first.
std::vector<std::string> most_frequent(const ByText<std::int64_t>& counts, const VocabularyConfig& config) {
  if (counts.empty()) throw Error("vocabulary: the training text holds no {}s", config.kind);
  std::vector<std::pair<std::string_view, std::int64_t>> ranked;
  for (const auto& [text, count] : counts)
    if (count >= config.min_count) ranked.emplace_back(text, count);
  if (ranked.empty())
    throw Error(
        "vocabulary: none of the {} different {}s of the training text is there {} times; lower "
        "vocabulary.min_count",
        counts.size(), config.kind, config.min_count);
  std::sort(ranked.begin(), ranked.end(), [](const auto& a, const auto& b) {
    return a.second != b.second ? a.second > b.second : a.first < b.first;
  });
  const auto most = static_cast<std::size_t>(config.size - Vocabulary::special_tokens);
  if (ranked.size() > most) ranked.resize(most);
  std::vector<std::string> entries;
  entries.reserve(ranked.size());
  for (const auto& [text, count] : ranked) entries.emplace_back(text);
  return entries;
}

void count(ByText<std::int64_t>& counts, std::string_view text) {
  if (const auto found = counts.find(text); found != counts.end())
    ++found->second;
  else
    counts.emplace(text, 1);
}

}  // namespace

std::shared_ptr<const Vocabulary> train_characters(const VocabularyConfig& config, const NextText& next) {
  std::unordered_map<char32_t, std::int64_t> counts;
  for (std::string_view text; next(text);) {
    for (std::size_t at = 0; at < text.size();) {
      const Utf8Character character = decode_utf8(text, at);
      ++counts[character.code];
      at += static_cast<std::size_t>(character.bytes);
    }
  }
  ByText<std::int64_t> by_text;
  for (const auto& [code, count] : counts) by_text.emplace(to_utf8(std::u32string_view(&code, 1)), count);
  std::vector<std::string> entries = most_frequent(by_text, config);
  std::sort(entries.begin(), entries.end());  // bytes of UTF-8 sort as code points
  return characters_from({.kind = "character", .algorithm = {}, .entries = std::move(entries), .model = {}});
}

std::shared_ptr<const Vocabulary> train_words(const VocabularyConfig& config, const NextText& next) {
  ByText<std::int64_t> counts;
  for (std::string_view text; next(text);)
    for (const std::string_view word : unicode::words(text)) count(counts, word);
  counts.erase(special_pieces[Vocabulary::unknown()]);
  return words_from({.kind = "word", .algorithm = {}, .entries = most_frequent(counts, config), .model = {}});
}

std::shared_ptr<const Vocabulary> characters_from(VocabularyFile contents) {
  return std::make_shared<CharacterVocabulary>(std::move(contents));
}

std::shared_ptr<const Vocabulary> words_from(VocabularyFile contents) {
  return std::make_shared<WordVocabulary>(std::move(contents));
}

}  // namespace heed
