#pragma once
#include <cstdint>

namespace heed {

// A token store's file: token ids (two or four bytes each) from the start, zeros up to a multiple of eight, the index
// (examples + 1 entries; none for a stream), the footer. Numbers are little-endian.

/// Of the index, one an example and one behind the last. The source's ids start at `first`, the target's follow and end
/// where the next entry starts.
struct TokenEntry {
  std::int64_t first = 0;
  std::int32_t source_tokens = 0, label = -1;
  std::int32_t answer_first = -1, answer_last = -1;  // tokens of the target
};

struct TokenFooter {
  static constexpr std::uint64_t heed_tokens = 0x736e656b6f740a02;  // "tokens", and the version of the format
  std::uint64_t fingerprint = 0;                                    // of texts, settings and vocabularies
  std::int64_t tokens = 0, examples = 0, skipped = 0, cut = 0;
  std::int32_t task = 0, stream = 0, id_bytes = 2, unused = 0;
  std::uint64_t check = 0;  // of all of the above
  std::uint64_t magic = heed_tokens;

  std::uint64_t right_check() const;
};

/// Bytes of the ids with what fills them up to the index.
inline std::int64_t token_bytes(const TokenFooter& footer) { return (footer.tokens * footer.id_bytes + 7) / 8 * 8; }

}  // namespace heed
