#pragma once
#include <filesystem>
#include <string>

namespace heed {

/// What is being written beside `target` until it takes its place: a file or folder `target`.partial-<pid>, locked
/// while its writer lives, so that a leftover of a killed one can be told. Whatever is at its path is removed in the
/// end.
class Partial {
 public:
  enum class Kind { file, folder };
  /// Removes leftovers beside the target, then creates. Throws Error when it cannot.
  Partial(const std::filesystem::path& target, Kind kind);
  ~Partial();
  Partial(const Partial&) = delete;
  Partial& operator=(const Partial&) = delete;
  const std::filesystem::path& path() const { return path_; }
  int file() const { return file_; }

 private:
  std::filesystem::path path_;
  int file_ = -1;
};

/// Removes `target`.partial-* whose writers are gone.
void remove_leftovers(const std::filesystem::path& target);

/// `path` without a slash at the end and with a symbolic link resolved: where a rename must go.
std::filesystem::path rename_target(const std::filesystem::path& path);

/// Hands a file or folder to the disk. Throws Error.
void sync_to_disk(const std::filesystem::path& path);
/// The folder that holds `path`, "." if none is named.
std::filesystem::path folder_of(const std::filesystem::path& path);

/// The system's words for errno.
std::string system_reason();

}  // namespace heed
