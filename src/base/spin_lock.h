#pragma once
#include <atomic>
#include <thread>

#include "base/pause.h"

namespace heed {

/// A lock for a few instructions at a time: waits without sleeping, but lets others run when the holder was
/// interrupted.
class SpinLock {
 public:
  void lock() noexcept {
    for (int tries = 0; held_.exchange(true, std::memory_order_acquire); ++tries) {
      if (tries < 200)
        pause();
      else
        std::this_thread::yield();
    }
  }
  void unlock() noexcept { held_.store(false, std::memory_order_release); }

 private:
  std::atomic<bool> held_{false};
};

}  // namespace heed
