#include <fcntl.h>
#include <stdio.h>

#include <cerrno>

#include "formats/file.h"
#include "formats/partial.h"

namespace heed {

namespace fs = std::filesystem;

namespace {

fs::path previous_of(fs::path target) { return target += ".previous"; }

void rename_or_throw(const fs::path& from, const fs::path& to) {
  if (::rename(from.c_str(), to.c_str()) != 0)
    throw Error("{}: cannot be renamed to {}: {}", from.string(), to.string(), system_reason());
}

bool is_there(const fs::path& path) {
  std::error_code failed;
  return fs::exists(fs::symlink_status(path, failed));
}

void sync_tree(const fs::path& folder) {
  std::error_code failed;
  for (const auto& entry : fs::recursive_directory_iterator(folder, failed)) {
    const fs::file_status status = entry.symlink_status(failed);
    if (fs::is_regular_file(status) || fs::is_directory(status)) sync_to_disk(entry.path());
  }
  if (failed) throw Error("{}: cannot be read: {}", folder.string(), failed.message());
  sync_to_disk(folder);
}

/// The old folder, if it is still at `previous` while the new one stands. It goes under a leftover's name first: what
/// is at `previous` must always be whole, because it may be put back.
void remove_previous(const fs::path& target) {
  fs::path old = target;
  old += ".partial-old";
  std::error_code ignored;
  fs::remove_all(old, ignored);
  if (::rename(previous_of(target).c_str(), old.c_str()) == 0) fs::remove_all(old, ignored);
}

}  // namespace

void write_folder_atomically(const fs::path& path, const std::function<void(const fs::path& partial)>& build,
                             FolderSwap swap) {
  const fs::path target = rename_target(path);
  recover_folder(target);
  std::error_code failed;
  if (is_there(target) && !fs::is_directory(target, failed))
    throw Error("{}: is a file; a folder was expected", target.string());
  const Partial partial(target, Partial::Kind::folder);
  build(partial.path());
  sync_tree(partial.path());

  if (!is_there(target)) {
    rename_or_throw(partial.path(), target);
  } else if (swap == FolderSwap::two_renames ||
             ::renameat2(AT_FDCWD, partial.path().c_str(), AT_FDCWD, target.c_str(), RENAME_EXCHANGE) != 0) {
    if (swap == FolderSwap::exchange && errno != EINVAL && errno != ENOSYS)
      throw Error("{}: cannot take the place of {}: {}", partial.path().string(), target.string(), system_reason());
    rename_or_throw(target, previous_of(target));
    try {
      rename_or_throw(partial.path(), target);
    } catch (...) {
      recover_folder(target);
      throw;
    }
  }
  sync_to_disk(folder_of(target));
  remove_previous(target);
}

bool recover_folder(const fs::path& path) {
  const fs::path target = rename_target(path);
  const fs::path previous = previous_of(target);
  if (!is_there(previous)) return false;
  if (is_there(target)) {
    remove_previous(target);
    return false;
  }
  rename_or_throw(previous, target);
  sync_to_disk(folder_of(target));
  return true;
}

}  // namespace heed
