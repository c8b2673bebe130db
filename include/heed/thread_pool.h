#pragma once
#include <cstdint>
#include <memory>
#include <type_traits>

namespace heed {

/// Processors that this process may use: the affinity mask, cut to the container's CPU quota. At least 1.
int available_processors();

/// Worker threads that share out numbered pieces of work. The caller works too, so a pool of one has no threads.
///
/// Work must be cut by shape alone, never by `threads()`, wherever the cut changes a sum: results are then the same
/// bits for any number of threads. The first exception of any piece stops the rest and is rethrown to the caller. A
/// call from within a piece, or while another thread uses the pool, runs on the calling thread alone.
class ThreadPool {
 public:
  /// 0 means available_processors().
  explicit ThreadPool(int threads = 0);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const;

  /// Runs f(i) for every i in [0, count), in any order.
  template <class F>
  void parallel_for(std::int64_t count, F&& f) {
    if (count <= 0) return;
    if (count == 1) {
      f(std::int64_t{0});
      return;
    }
    using Function = std::remove_reference_t<F>;
    run(
        count, [](void* function, std::int64_t i) { (*static_cast<Function*>(function))(i); },
        const_cast<void*>(static_cast<const void*>(&f)));
  }

 private:
  void run(std::int64_t count, void (*piece)(void*, std::int64_t), void* context);
  struct Shared;
  std::unique_ptr<Shared> shared_;
};

}  // namespace heed
