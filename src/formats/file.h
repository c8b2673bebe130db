#pragma once
#include <heed/tensor.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace heed {

/// A file mapped read-only. The mapping lives as long as this object or any tensor over `storage()`; a write through
/// such a tensor is a fault. The file must not be cut meanwhile (replaced by a rename it may be).
///
/// Throws Error for a file that is missing, empty, unreadable, a folder, or not a regular file.
class MappedFile {
 public:
  explicit MappedFile(const std::filesystem::path& path);
  const std::string& name() const { return name_; }
  std::string_view bytes() const { return {static_cast<const char*>(whole_.data()), size_}; }
  Storage* storage() const { return storage_; }

 private:
  std::string name_;
  std::size_t size_ = 0;
  Storage* storage_ = nullptr;
  Tensor whole_;  // keeps the storage counted
};

/// Writes to an open file through a buffer; every write is checked. Throws Error with the file, the system's reason and
/// the bytes that were written, e.g. on a full disk.
class Writer {
 public:
  Writer(int file, std::string name);
  void write(const void* data, std::int64_t bytes);
  void write(std::string_view text) { write(text.data(), static_cast<std::int64_t>(text.size())); }
  /// Hands the buffer to the system. Whoever made the writer calls it at the end; a destructor could not tell of
  /// errors.
  void flush();
  /// Bytes given to write() so far.
  std::int64_t bytes() const { return written_ + static_cast<std::int64_t>(buffer_.size()); }
  const std::string& name() const { return name_; }

 private:
  void write_through(const char* data, std::size_t bytes);

  int file_;
  std::string name_;
  std::vector<char> buffer_;
  std::int64_t written_ = 0;
};

/// Writes a file in place, checked but not synced: for files in a folder that write_folder_atomically syncs.
void write_file(const std::filesystem::path& path, const std::function<void(Writer&)>& write);

/// Replaces a file so that at any moment, kill -9 and power loss included, the old one or the whole new one is at
/// `path`: it is written to `path`.partial-<pid>, synced and renamed. If `write` or the disk fails the old file is
/// untouched and the unfinished one removed; those of killed writers are removed by the next write. A symbolic link is
/// followed; a device or pipe is written directly.
void write_file_atomically(const std::filesystem::path& path, const std::function<void(Writer&)>& write);

/// How a new folder takes the place of the old one. `exchange` is one step (renameat2) and falls back to two renames on
/// file systems without it.
enum class FolderSwap { exchange, two_renames };

/// Replaces a folder with everything in it: `build` fills an empty folder `path`.partial-<pid>, whose files are then
/// synced and which takes the place of `path`. After kill -9 at any moment the old or the whole new folder is at `path`
/// (where the file system can only rename twice: after recover_folder). Failures and leftovers as for files.
void write_folder_atomically(const std::filesystem::path& path,
                             const std::function<void(const std::filesystem::path& partial)>& build,
                             FolderSwap swap = FolderSwap::exchange);

/// To be called before a folder is read: if a writer was killed between two renames, so that there is no `path` but the
/// old folder is at `path`.previous, puts that back. True if it did.
bool recover_folder(const std::filesystem::path& path);

}  // namespace heed
