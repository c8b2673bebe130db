#include "text/subword_vocabulary.h"

#include <heed/error.h>
#include <sentencepiece_processor.h>
#include <sentencepiece_trainer.h>

#include <algorithm>
#include <unordered_map>

#include "formats/utf8.h"
#include "text/subword_model.h"
#include "text/subword_sampling.h"
#include "text/thinned_lines.h"
#include "text/unicode.h"

namespace heed {

namespace sp = sentencepiece;

namespace {

constexpr std::size_t most_training_bytes = std::size_t{512} << 20;
// SentencePiece passes over longer sentences, and stops the process at words of 65,536 characters without a space.
constexpr std::size_t longest_sentence = 4096;
constexpr double least_coverage = 0.98;

class Sentences final : public sp::SentenceIterator {
 public:
  explicit Sentences(const std::vector<std::string>& lines) : lines_(lines) {}
  bool done() const override { return at_ == lines_.size(); }
  void Next() override { ++at_; }
  const std::string& value() const override { return lines_[at_]; }
  sp::util::Status status() const override { return {}; }

 private:
  const std::vector<std::string>& lines_;
  std::size_t at_ = 0;
};

/// What SentencePiece says of a failure: "PLACE [condition] words", of which the words, or if there are none the
/// condition.
std::string reason(const sp::util::Status& status) {
  const std::string text = status.error_message();
  const std::size_t bracket = text.rfind("] ");
  if (bracket == std::string::npos || bracket + 2 == text.size()) return text;
  return text.substr(bracket + 2);
}

/// Why no subwords could be made, in the words of the recipe.
Error training_error(const VocabularyConfig& config, const std::string& reason) {
  // "Vocabulary size is smaller than required_chars. 5 vs 7. Increase vocab_size or …"
  const std::size_t needed = reason.find(" vs ");
  if (reason.starts_with("Vocabulary size is smaller") && needed != std::string::npos)
    return Error(
        "vocabulary.size is {}; the characters of the training text and the special tokens take {}; raise it, or "
        "lower vocabulary.character_coverage",
        config.size, reason.substr(needed + 4, reason.find('.', needed) - needed - 4));
  return Error("vocabulary: SentencePiece cannot make {} {} subwords of the training text: {}", config.size,
               config.algorithm, reason);
}

/// Whether a line has a character that is sure to be left after normalisation.
bool has_visible_character(std::string_view line) {
  const std::u32string codes = to_utf32(line);
  return std::any_of(codes.begin(), codes.end(), [](char32_t code) {
    const bool control = code < 0x21 || (code >= 0x7f && code < 0xc0);
    const bool format = (code >= 0x2000 && code < 0x2070) || (code >= 0xfe00 && code < 0xfe10) || code == 0xfeff;
    const bool special = code == 0x2581 || (code >= 0xfff0 && code < 0x10000);
    return !control && !format && !special && !unicode::is_space(code);
  });
}

class SubwordVocabulary final : public Vocabulary {
 public:
  explicit SubwordVocabulary(VocabularyFile contents) : contents_(std::move(contents)) {
    check_subword_model(contents_.model);
    if (const auto status = processor_.LoadFromSerializedProto(contents_.model); !status.ok())
      throw Error("vocabulary: SentencePiece cannot read the subword model: {}", reason(status));
    if (processor_.unk_id() != unknown() || processor_.bos_id() != begin() || processor_.eos_id() != end())
      throw Error("vocabulary: the subword model has unknown, begin and end at {}, {}, {}; they must be at 0, 1, 2",
                  processor_.unk_id(), processor_.bos_id(), processor_.eos_id());
    bounds_ = unigram_bounds(processor_);
  }

  std::string kind() const override { return contents_.kind; }
  std::int32_t size() const override { return processor_.GetPieceSize(); }

  std::vector<std::int32_t> encode(std::string_view text) const override {
    std::vector<std::int32_t> ids;
    if (const auto status = processor_.Encode(text, &ids); !status.ok())
      throw Error("vocabulary: SentencePiece cannot encode a text of {} bytes: {}", text.size(), reason(status));
    return ids;
  }

  std::string decode(std::span<const std::int32_t> ids) const override {
    std::vector<int> known;
    for (const std::int32_t id : ids) {
      check(id);
      if (id != begin() && id != end()) known.push_back(id);
    }
    std::string text;
    if (const auto status = processor_.Decode(known, &text); !status.ok())
      throw Error("vocabulary: SentencePiece cannot decode {} tokens: {}", ids.size(), reason(status));
    return text;
  }

  std::string piece(std::int32_t id) const override {
    check(id);
    return processor_.IdToPiece(id);
  }

  std::vector<std::int32_t> resample(std::span<const std::int32_t> ids, double rate, RandomKey key) const override {
    for (const std::int32_t id : ids) check(id);
    if (rate == 0 || ids.empty()) return {ids.begin(), ids.end()};
    return contents_.algorithm == "unigram" ? sample_unigram(processor_, bounds_, ids, rate, key)
                                            : drop_merges(processor_, ids, rate, key);
  }

  std::uint64_t fingerprint() const override { return heed::fingerprint(contents_); }
  void save(const std::filesystem::path& folder, const std::string& name) const override {
    write_vocabulary_file(folder, name, contents_);
  }

 private:
  void check(std::int32_t id) const {
    if (id < 0 || id >= size()) throw Error("vocabulary: there is no token {}; it has {}", id, size());
  }
  VocabularyFile contents_;
  sp::SentencePieceProcessor processor_;
  UnigramBounds bounds_;
};

}  // namespace

std::shared_ptr<const Vocabulary> train_subwords(const VocabularyConfig& config, const NextText& next) {
  if (config.algorithm != "bpe" && config.algorithm != "unigram")
    throw Error("vocabulary.algorithm is \"{}\"; it may be bpe or unigram", config.algorithm);
  if (!(config.character_coverage >= least_coverage && config.character_coverage <= 1))
    throw Error("vocabulary.character_coverage is {}; SentencePiece takes {} to 1", config.character_coverage,
                least_coverage);
  ThinnedLines lines(most_training_bytes, longest_sentence);
  for (std::string_view text; next(text);) lines.add(text);
  // Without this SentencePiece would end the process.
  if (std::none_of(lines.lines().begin(), lines.lines().end(), has_visible_character))
    throw Error("vocabulary: the training text is empty or blank; subwords are made from text");

  std::string tags;
  for (const std::string& tag : config.tags) {
    if (tag.empty() || tag.find_first_of(", \t\n\"") != std::string::npos)
      throw Error("vocabulary.tags has \"{}\"; a tag is a word without blanks, commas and quotes", tag);
    tags += (tags.empty() ? "" : ",") + tag;
  }

  Sentences sentences(lines.lines());
  const bool identity = config.normalisation == "identity";
  const std::unordered_map<std::string, std::string> options = {
      {"model_type", config.algorithm},
      {"vocab_size", std::to_string(config.size)},
      {"hard_vocab_limit", "false"},
      {"character_coverage", format("{}", config.character_coverage)},
      {"normalization_rule_name", config.normalisation},
      {"remove_extra_whitespaces", identity ? "false" : "true"},
      {"unk_id", std::to_string(Vocabulary::unknown())},
      {"bos_id", std::to_string(Vocabulary::begin())},
      {"eos_id", std::to_string(Vocabulary::end())},
      {"pad_id", "-1"},
      {"user_defined_symbols", tags},
      {"max_sentence_length", std::to_string(longest_sentence)},
      // Sums of several threads are added in an order that the number fixed here decides, not the machine.
      {"num_threads", "2"},
      {"minloglevel", "4"},  // nothing is printed
  };
  VocabularyFile contents{.kind = "subword", .algorithm = config.algorithm, .entries = {}, .model = {}};
  if (const auto status = sp::SentencePieceTrainer::Train(options, &sentences, &contents.model); !status.ok())
    throw training_error(config, reason(status));
  return subwords_from(std::move(contents));
}

std::shared_ptr<const Vocabulary> subwords_from(VocabularyFile contents) {
  return std::make_shared<SubwordVocabulary>(std::move(contents));
}

}  // namespace heed
