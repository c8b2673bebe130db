#include <heed/error.h>
#include <heed/thread_pool.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/control_group.h"
#include "base/pause.h"

namespace heed {

namespace {

constexpr int most_threads = 4096;
constexpr double spin_seconds = 50e-6;  // about what sleeping and waking costs

int processors_by_affinity() {
  for (int size = 1024; size <= 1 << 20; size *= 4) {  // the kernel refuses a set smaller than its own
    cpu_set_t* set = CPU_ALLOC(static_cast<std::size_t>(size));
    if (!set) break;
    const std::size_t bytes = CPU_ALLOC_SIZE(static_cast<std::size_t>(size));
    const bool known = sched_getaffinity(0, bytes, set) == 0;
    const int count = known ? CPU_COUNT_S(bytes, set) : 0;
    CPU_FREE(set);
    if (known) return count;
  }
  return static_cast<int>(std::thread::hardware_concurrency());
}

/// Waits without sleeping until `ready()`, for a while; false when the time is up.
template <class Ready>
bool spin_until(Ready ready) {
  const double end = now() + spin_seconds;
  do {
    for (int i = 0; i < 32; ++i) {
      if (ready()) return true;
      pause();
    }
  } while (now() < end);
  return false;
}

}  // namespace

int available_processors() {
  const int by_quota = ControlGroups().processors().value_or(most_threads);
  return std::clamp(std::min(processors_by_affinity(), by_quota), 1, most_threads);
}

// One word says everything about the current job: the workers inside it (low 16 bits), whether it is open to more of
// them, and its generation. A worker enters an open job by adding 1; the caller closes the job when no piece is left
// and waits for those inside. So a worker that wakes late never touches a job that is over, and nobody waits for it.
struct ThreadPool::Shared {
  static constexpr std::uint32_t inside = 0xffff;
  static constexpr std::uint32_t open = 1u << 16;
  static constexpr std::uint32_t one_generation = 1u << 17;
  static constexpr std::uint32_t generation = ~(inside | open);

  explicit Shared(int threads);
  ~Shared() { stop(); }
  void stop();
  void work();
  void take_pieces() noexcept;
  void wait_for_workers();
  void record_failure() noexcept;

  // The words that threads fight over lie in cache lines of their own.
  alignas(64) std::atomic<std::uint32_t> state{0};
  alignas(64) std::atomic<std::int64_t> next{0};
  alignas(64) std::int64_t count = 0;
  void (*piece)(void*, std::int64_t) = nullptr;
  void* context = nullptr;

  std::atomic<bool> failed{false};
  std::exception_ptr failure;
  std::atomic<bool> busy{false};
  std::atomic<bool> stopping{false};
  std::atomic<int> sleepers{0};
  std::atomic<bool> caller_sleeps{false};
  bool spins = true;
  std::mutex mutex;
  std::condition_variable wake;
  std::condition_variable done;
  std::vector<std::thread> workers;
};

ThreadPool::Shared::Shared(int threads) {
  spins = threads <= available_processors();  // otherwise spinning takes the processor from a thread that has work
  try {
    workers.reserve(static_cast<std::size_t>(threads - 1));
    for (int i = 1; i < threads; ++i) workers.emplace_back([this] { work(); });
  } catch (const std::system_error& error) {
    stop();
    throw Error("thread pool: the system refused thread {} of {} ({}); ask for fewer threads", workers.size() + 2,
                threads, error.what());
  }
}

void ThreadPool::Shared::stop() {
  {
    std::lock_guard guard(mutex);
    stopping.store(true);
  }
  wake.notify_all();
  for (std::thread& worker : workers) worker.join();
}

void ThreadPool::Shared::work() {
  std::uint32_t last = 0;  // the generation of the job this worker was in; the first job is number 1
  const auto ready = [&] {
    const std::uint32_t seen = state.load();
    return stopping.load(std::memory_order_relaxed) || ((seen & open) && (seen & generation) != last);
  };
  for (;;) {
    if (!(spins && spin_until(ready))) {
      // Either this thread sees the new job after it has counted itself as a sleeper, or the caller sees the sleeper
      // after it has opened the job: both orders are sequentially consistent.
      std::unique_lock guard(mutex);
      sleepers.fetch_add(1);
      wake.wait(guard, ready);
      sleepers.fetch_sub(1);
    }
    if (stopping.load()) return;
    std::uint32_t seen = state.load();
    while ((seen & open) && !state.compare_exchange_weak(seen, seen + 1)) {
    }
    if (!(seen & open)) continue;
    last = seen & generation;
    take_pieces();
    if (((state.fetch_sub(1) - 1) & inside) == 0 && caller_sleeps.load()) {
      std::lock_guard guard(mutex);
      done.notify_one();
    }
  }
}

void ThreadPool::Shared::take_pieces() noexcept {
  try {
    for (;;) {
      const std::int64_t i = next.fetch_add(1, std::memory_order_relaxed);
      if (i >= count) return;
      piece(context, i);
    }
  } catch (...) {
    record_failure();
  }
}

void ThreadPool::Shared::record_failure() noexcept {
  next.store(count, std::memory_order_relaxed);  // no further piece starts
  if (!failed.exchange(true)) failure = std::current_exception();
}

void ThreadPool::Shared::wait_for_workers() {
  const auto empty = [&] { return (state.load() & inside) == 0; };
  state.fetch_and(~open);
  if (spins ? spin_until(empty) : empty()) return;
  std::unique_lock guard(mutex);
  caller_sleeps.store(true);
  done.wait(guard, empty);
  caller_sleeps.store(false);
}

ThreadPool::ThreadPool(int threads) {
  if (threads < 0 || threads > most_threads)
    throw Error("thread pool: {} threads asked for; expected 0 (as many as processors) to {}", threads, most_threads);
  shared_ = std::make_unique<Shared>(threads == 0 ? available_processors() : threads);
}

ThreadPool::~ThreadPool() = default;

int ThreadPool::threads() const { return static_cast<int>(shared_->workers.size()) + 1; }

void ThreadPool::run(std::int64_t count, void (*piece)(void*, std::int64_t), void* context) {
  Shared& shared = *shared_;
  if (shared.workers.empty() || shared.busy.exchange(true, std::memory_order_acquire)) {
    for (std::int64_t i = 0; i < count; ++i) piece(context, i);
    return;
  }
  shared.count = count;
  shared.piece = piece;
  shared.context = context;
  shared.next.store(0, std::memory_order_relaxed);
  // Nobody is inside and the job is closed, so the word holds a generation alone.
  shared.state.store(((shared.state.load() + Shared::one_generation) & Shared::generation) | Shared::open);
  if (shared.sleepers.load() > 0) {
    { std::lock_guard guard(shared.mutex); }
    shared.wake.notify_all();
  }
  shared.take_pieces();
  shared.wait_for_workers();

  std::exception_ptr failure;
  if (shared.failed.load()) {
    failure = std::move(shared.failure);
    shared.failure = nullptr;
    shared.failed.store(false);
  }
  shared.busy.store(false, std::memory_order_release);
  if (failure) std::rethrow_exception(failure);
}

}  // namespace heed
