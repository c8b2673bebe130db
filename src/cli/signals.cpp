#include <unistd.h>

#include <csignal>
#include <cstdlib>

#include "cli/commands.h"

namespace heed::cli {

namespace {

// A signal handler can reach nothing but globals; this is the program's, not the library's.
std::atomic<bool> stop{false};
static_assert(std::atomic<bool>::is_always_lock_free);

void on_signal(int) {
  if (stop.exchange(true)) _exit(exit_interrupted);
}

}  // namespace

const std::atomic<bool>& stop_requested() { return stop; }

void catch_signals() {
  struct sigaction action {};
  action.sa_handler = on_signal;
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

}  // namespace heed::cli
