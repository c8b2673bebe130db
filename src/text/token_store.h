#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <utility>
#include <vector>

#include "formats/file.h"
#include "text/examples.h"
#include "text/token_file.h"

namespace heed {

/// An example as ids, without begin and end.
struct Example {
  std::vector<std::int32_t> source, target;
  std::int32_t label = -1;  ///< classification: the class; question answering: the article; else -1
  /// Question answering: source is the question, target a window of the passage, and of its tokens these are the
  /// answer's first and last; -1 when the window does not hold it.
  std::int32_t answer_first = -1, answer_last = -1;
};

/// A tokenised part of the data in a memory-mapped file: it may be larger than memory, and any number of threads may
/// read it. Ids take two bytes (four for a vocabulary beyond 65,536), an example another 24.
///
/// Language modelling of a stream has no examples but one run of tokens, a line end (Vocabulary::line_end) after each
/// line.
class TokenStore {
 public:
  /// Throws Error for a file that is missing, cut, altered in size or header, or no token store.
  explicit TokenStore(const std::filesystem::path& path);

  Task task() const { return static_cast<Task>(footer_.task); }
  bool stream() const { return footer_.stream != 0; }
  /// Examples; 0 for a stream.
  std::int64_t size() const { return footer_.examples; }
  /// All tokens, source and target, begin and end not counted.
  std::int64_t tokens() const { return footer_.tokens; }
  /// Examples that data.too_long passed over or cut.
  std::int64_t skipped() const { return footer_.skipped; }
  std::int64_t cut() const { return footer_.cut; }
  /// Of the texts, settings and vocabularies that the store was made from.
  std::uint64_t fingerprint() const { return footer_.fingerprint; }

  /// 0 <= i < size(), here and below. Throws Error for an index that was altered.
  Example example(std::int64_t i) const;
  std::int32_t label(std::int64_t i) const { return entry(i).label; }
  /// Tokens of the example as the model reads them, source and target, begin and end counted: what fills batches.
  std::int64_t length(std::int64_t i) const;
  /// Tokens [first, first + count) of the whole.
  std::vector<std::int32_t> range(std::int64_t first, std::int64_t count) const;

 private:
  TokenEntry entry(std::int64_t i) const;
  /// The entry, and behind its last token. Throws Error when they do not lie within the tokens.
  std::pair<TokenEntry, std::int64_t> bounds(std::int64_t i) const;

  MappedFile file_;
  TokenFooter footer_;
};

/// Told while a store is built: bytes of text read, of about `total`.
using BuildProgress = std::function<void(std::int64_t read, std::int64_t total)>;

/// The tokenised examples of `files`: the store at `path` if it was made from the same texts, settings and vocabularies
/// (wherever the files lie), else it is made anew, in constant memory, and replaced atomically. To tell, the files are
/// read once for a checksum.
///
/// `max_length`: most tokens of a sequence as the model reads it, begin and end counted; longer examples are refused,
/// cut, skipped or split as data.too_long says (split: documents of language modelling; a stream has no length).
/// Throws Error naming file and line, and what ExampleReader throws.
TokenStore open_token_store(const std::filesystem::path& path, const TextEncoder& encoder, const DataConfig& config,
                            const DataFiles& files, std::int64_t max_length, const BuildProgress& progress = {});

}  // namespace heed
