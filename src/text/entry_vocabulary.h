#pragma once
#include <memory>

#include "text/vocabulary.h"
#include "text/vocabulary_file.h"

namespace heed {

/// A vocabulary that is a list of entries: characters (Unicode code points), or words (runs without white space).
///
/// Characters: decode(encode(text)) is the text, U+FFFD standing for unknown characters. Words are joined by one space,
/// "<unk>" standing for unknown ones; the word "<unk>" in a text is the unknown token, as in corpora that come so.
std::shared_ptr<const Vocabulary> train_characters(const VocabularyConfig& config, const NextText& next);
std::shared_ptr<const Vocabulary> train_words(const VocabularyConfig& config, const NextText& next);
/// Throws Error for an entry that is there twice, or for characters is not one character.
std::shared_ptr<const Vocabulary> characters_from(VocabularyFile contents);
std::shared_ptr<const Vocabulary> words_from(VocabularyFile contents);

}  // namespace heed
