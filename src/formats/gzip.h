#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

namespace heed {

/// The bytes of a plain or gzip file, chunk by chunk in constant memory, so a file may be larger than memory. Gzip is
/// told by its first two bytes, not by the name; members may follow each other.
///
/// Errors name the file, and for gzip that is truncated or corrupt the byte of the compressed file.
class ByteReader {
 public:
  /// `start` is where to begin, in uncompressed bytes: a reader stopped at `offset()` goes on there. Gzip is read up to
  /// that place again. Throws Error for a file that is missing, unreadable, a folder, or shorter than `start`. An empty
  /// file is a reader without chunks.
  explicit ByteReader(const std::filesystem::path& path, std::int64_t start = 0);
  /// Bytes in memory (plain or gzip), under a name for messages.
  static ByteReader of_bytes(std::string bytes, std::string name, std::int64_t start = 0);
  ByteReader(ByteReader&&) noexcept;
  ByteReader& operator=(ByteReader&&) noexcept;
  ~ByteReader();

  /// The next chunk, never empty until the end, then always. Valid until the next call.
  std::string_view next();
  /// Uncompressed bytes handed out so far, those skipped at the start included.
  std::int64_t offset() const;
  /// The file as messages show it.
  const std::string& name() const;

 private:
  struct State;
  explicit ByteReader(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace heed
