#include "text/vocabulary.h"

#include <heed/error.h>

#include "text/entry_vocabulary.h"
#include "text/subword_vocabulary.h"
#include "text/vocabulary_file.h"

namespace heed {

std::vector<std::int32_t> Vocabulary::resample(std::span<const std::int32_t> ids, double, RandomKey) const {
  return {ids.begin(), ids.end()};
}

std::shared_ptr<const Vocabulary> train_vocabulary(const VocabularyConfig& config, const NextText& next) {
  if (config.size <= Vocabulary::special_tokens)
    throw Error("vocabulary.size is {}; unknown, begin and end take {}, so {} or more is needed", config.size,
                Vocabulary::special_tokens, Vocabulary::special_tokens + 1);
  if (config.kind == "character") return train_characters(config, next);
  if (config.kind == "word") return train_words(config, next);
  if (config.kind == "subword") return train_subwords(config, next);
  throw Error("vocabulary.kind is \"{}\"; it may be character, word or subword", config.kind);
}

std::shared_ptr<const Vocabulary> load_vocabulary(const std::filesystem::path& folder, const std::string& name) {
  VocabularyFile contents = read_vocabulary_file(folder, name);
  if (contents.kind == "character") return characters_from(std::move(contents));
  if (contents.kind == "word") return words_from(std::move(contents));
  if (contents.kind == "subword") return subwords_from(std::move(contents));
  throw Error("{}: the vocabulary is of kind \"{}\"; this heed knows character, word and subword",
              (folder / (name + ".json")).string(), contents.kind);
}

}  // namespace heed
