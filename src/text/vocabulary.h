#pragma once
#include <heed/data_config.h>
#include <heed/random.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace heed {

/// Texts one after the other: puts the next one into `text`, valid until the next call; false when there are no more.
using NextText = std::function<bool(std::string_view& text)>;

/// The tokens of a model and their ids: 0 unknown, 1 begin, 2 end, then the entries. Sequences are packed, so there is
/// no padding. Immutable; any number of threads may share one.
class Vocabulary {
 public:
  static constexpr std::int32_t unknown() { return 0; }
  static constexpr std::int32_t begin() { return 1; }
  static constexpr std::int32_t end() { return 2; }
  static constexpr std::int32_t special_tokens = 3;

  Vocabulary() = default;
  Vocabulary(const Vocabulary&) = delete;
  Vocabulary& operator=(const Vocabulary&) = delete;
  virtual ~Vocabulary() = default;

  /// "character", "word" or "subword".
  virtual std::string kind() const = 0;
  /// Tokens, special ones included.
  virtual std::int32_t size() const = 0;
  /// Ids of a text (valid UTF-8), without begin and end.
  virtual std::vector<std::int32_t> encode(std::string_view text) const = 0;
  /// The text of ids; begin and end are left out. Throws Error for an id that is not in [0, size()).
  virtual std::string decode(std::span<const std::int32_t> ids) const = 0;
  /// One token as it is shown: "<unk>", "<s>", "</s>", a character, a word, or a subword with "▁" for a space.
  virtual std::string piece(std::int32_t id) const = 0;

  /// Another segmentation of the text that `ids` encode, a function of the key alone (subword regularisation). `rate`
  /// is BPE dropout's (Provilkov et al. 2020, arXiv:1910.13267) or unigram's smoothing alpha (Kudo 2018,
  /// arXiv:1804.10959). Characters and words have but one segmentation: their ids are returned.
  ///
  /// It starts from ids because the pieces of a segmentation, joined, are the normalised text: what is stored
  /// tokenised needs no second copy as text.
  virtual std::vector<std::int32_t> resample(std::span<const std::int32_t> ids, double rate, RandomKey key) const;
  std::vector<std::int32_t> encode_sampled(std::string_view text, double rate, RandomKey key) const {
    return resample(encode(text), rate, key);
  }

  /// What stands for the end of a line in a stream of text: the character "\n" if this vocabulary has it, else end().
  virtual std::int32_t line_end() const { return end(); }

  /// Differs between vocabularies that differ, equal in every run: what is tokenised with one carries it.
  virtual std::uint64_t fingerprint() const = 0;

  /// Writes FOLDER/NAME.json, and for subwords FOLDER/NAME.model beside it, which SentencePiece's own tools read.
  virtual void save(const std::filesystem::path& folder, const std::string& name) const = 0;
};

/// Makes a vocabulary from texts; the same texts give the same vocabulary. Characters and words: the most frequent
/// ones, ties in the order of their bytes; memory grows with the number of different ones. Subwords: see
/// subword_vocabulary.h. Throws Error for no text, an unknown kind, or a size that cannot hold the special tokens and
/// one entry.
std::shared_ptr<const Vocabulary> train_vocabulary(const VocabularyConfig& config, const NextText& next);

/// Reads what Vocabulary::save wrote. Throws Error for files that are missing, truncated, altered, or of a later
/// version.
std::shared_ptr<const Vocabulary> load_vocabulary(const std::filesystem::path& folder, const std::string& name);

}  // namespace heed
