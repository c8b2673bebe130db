#include "experiments/machine_lock.h"

#include <fcntl.h>
#include <heed/error.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace heed {

namespace {

int open_lock(const std::filesystem::path& path) {
  const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (file < 0) throw Error("{}: the lock cannot be opened: {}", path.string(), std::strerror(errno));
  return file;
}

bool lock(int file, int how) {
  int result;
  do result = ::flock(file, how);
  while (result != 0 && errno == EINTR);
  return result == 0;
}

}  // namespace

// Who measures shuts the gate first, so that no training passes it any more, and then waits for the machine: readers
// that come again and again would else keep a writer out for ever.
MachineLock::MachineLock(const std::filesystem::path& folder)
    : gate_(open_lock(folder / "gate.lock")), machine_(open_lock(folder / "machine.lock")) {}

MachineLock::~MachineLock() {
  ::close(gate_);
  ::close(machine_);
}

void MachineLock::enter() {
  lock(gate_, LOCK_SH);
  lock(machine_, LOCK_SH);
  lock(gate_, LOCK_UN);
}

void MachineLock::leave() { lock(machine_, LOCK_UN); }

void MachineLock::yield() {
  if (lock(gate_, LOCK_SH | LOCK_NB)) {
    lock(gate_, LOCK_UN);
    return;
  }
  leave();
  enter();
}

MachineLock::Alone::Alone(MachineLock& lock_to_take) : lock_(lock_to_take) {
  lock(lock_.gate_, LOCK_EX);
  lock(lock_.machine_, LOCK_EX);
}

MachineLock::Alone::~Alone() {
  lock(lock_.machine_, LOCK_UN);
  lock(lock_.gate_, LOCK_UN);
}

}  // namespace heed
