#include "formats/partial.h"

#include <fcntl.h>
#include <heed/error.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace heed {

namespace fs = std::filesystem;

namespace {

bool same_file(int file, const fs::path& path) {
  struct stat open_one {
  }, named_one{};
  return ::fstat(file, &open_one) == 0 && ::lstat(path.c_str(), &named_one) == 0 &&
         open_one.st_ino == named_one.st_ino && open_one.st_dev == named_one.st_dev;
}

fs::path with_suffix(fs::path path, const std::string& suffix) { return path += suffix; }

}  // namespace

Partial::Partial(const fs::path& target, Kind kind) {
  remove_leftovers(target);
  const std::string own = ".partial-" + std::to_string(::getpid());
  std::error_code failed;
  for (int attempt = 1;; ++attempt) {
    path_ = with_suffix(target, attempt == 1 ? own : own + "-" + std::to_string(attempt));
    if (kind == Kind::file) {
      file_ = ::open(path_.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0666);
    } else if (::mkdir(path_.c_str(), 0777) == 0) {
      file_ = ::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    }
    if (file_ < 0) {
      // Another thread writes the same target, or a remover of leftovers was faster than the lock.
      if ((errno == EEXIST ||
           (errno == ENOENT && kind == Kind::folder && fs::exists(fs::status(folder_of(target), failed)))) &&
          attempt < 100)
        continue;
      throw Error("{}: cannot be created: {}", path_.string(), system_reason());
    }
    // File systems without locks are used without: then leftovers stay.
    const bool locked = ::flock(file_, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK;
    if (locked && same_file(file_, path_)) return;
    ::close(file_);
    file_ = -1;
  }
}

Partial::~Partial() {
  // Removed before the lock is let go. After a rename there is nothing, after an exchange the old folder.
  std::error_code ignored;
  fs::remove_all(path_, ignored);
  if (file_ >= 0) ::close(file_);
}

void remove_leftovers(const fs::path& target) {
  const std::string prefix = target.filename().string() + ".partial-";
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder_of(target), ignored)) {
    if (!entry.path().filename().string().starts_with(prefix)) continue;
    const int file = ::open(entry.path().c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (file < 0) continue;
    if (::flock(file, LOCK_EX | LOCK_NB) == 0) fs::remove_all(entry.path(), ignored);
    ::close(file);
  }
}

fs::path folder_of(const fs::path& path) { return path.has_parent_path() ? path.parent_path() : fs::path("."); }

fs::path rename_target(const fs::path& path) {
  fs::path target = path.lexically_normal();
  if (!target.has_filename()) target = target.parent_path();
  std::error_code failed;
  if (!fs::is_symlink(target, failed)) return target;
  const fs::path resolved = fs::weakly_canonical(target, failed);
  return failed ? target : resolved;
}

void sync_to_disk(const fs::path& path) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  // A file system that cannot sync (EINVAL) keeps no promise that could be asked for.
  const bool synced = file >= 0 && (::fsync(file) == 0 || errno == EINVAL);
  const std::string reason = synced ? "" : system_reason();
  if (file >= 0) ::close(file);
  if (!synced) throw Error("{}: cannot be written to the disk: {}", path.string(), reason);
}

std::string system_reason() { return std::strerror(errno); }

}  // namespace heed
