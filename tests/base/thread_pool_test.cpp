#include <gtest/gtest.h>
#include <heed/error.h>
#include <heed/thread_pool.h>
#include <time.h>

#include <atomic>
#include <chrono>
#include <numeric>
#include <stdexcept>
#include <thread>
#include <vector>

namespace heed {
namespace {

double processor_seconds() {
  timespec time{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

TEST(ThreadPool, RunsEveryPieceOnce) {
  for (const int threads : {1, 2, 3, 8}) {
    ThreadPool pool(threads);
    EXPECT_EQ(pool.threads(), threads);
    for (const std::int64_t count : {0, 1, 2, 7, 1000}) {
      std::vector<int> runs(static_cast<std::size_t>(count));
      pool.parallel_for(count, [&](std::int64_t i) { ++runs[static_cast<std::size_t>(i)]; });
      EXPECT_EQ(std::accumulate(runs.begin(), runs.end(), 0), count);
      for (const int run : runs) ASSERT_EQ(run, 1);
    }
  }
}

TEST(ThreadPool, MakesWhatPiecesWroteVisibleToTheCaller) {
  ThreadPool pool(3);
  std::int64_t values[16] = {};
  for (std::int64_t round = 1; round <= 5000; ++round) {
    pool.parallel_for(16, [&](std::int64_t i) { values[i] += i; });
    ASSERT_EQ(values[15], 15 * round);
  }
}

TEST(ThreadPool, WakesWorkersThatFellAsleep) {
  ThreadPool pool(2);
  for (int round = 0; round < 20; ++round) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    std::atomic<int> inside{0};
    pool.parallel_for(2, [&](std::int64_t) {  // both pieces meet, so two threads must be here
      ++inside;
      while (inside.load() < 2) std::this_thread::yield();
    });
    EXPECT_EQ(inside.load(), 2);
  }
}

TEST(ThreadPool, StopsAtTheFirstExceptionAndRethrowsIt) {
  ThreadPool pool(4);
  for (int round = 0; round < 50; ++round) {
    std::atomic<std::int64_t> started{0};
    EXPECT_THROW(pool.parallel_for(1000000,
                                   [&](std::int64_t) {
                                     ++started;
                                     throw std::runtime_error("piece");
                                   }),
                 std::runtime_error);
    EXPECT_LE(started.load(), 4);
  }
  std::atomic<int> after{0};
  pool.parallel_for(100, [&](std::int64_t) { ++after; });
  EXPECT_EQ(after.load(), 100);
}

TEST(ThreadPool, RunsNestedCallsOnTheThreadThatMakesThem) {
  ThreadPool pool(3);
  std::atomic<int> pieces{0};
  pool.parallel_for(8, [&](std::int64_t) {
    const auto here = std::this_thread::get_id();
    pool.parallel_for(8, [&](std::int64_t) {
      EXPECT_EQ(std::this_thread::get_id(), here);
      ++pieces;
    });
  });
  EXPECT_EQ(pieces.load(), 64);
}

TEST(ThreadPool, ServesSeveralCallersAtOnce) {
  ThreadPool pool(2);
  std::atomic<std::int64_t> sum{0};
  std::vector<std::thread> callers;
  for (int caller = 0; caller < 3; ++caller)
    callers.emplace_back([&] {
      for (int round = 0; round < 300; ++round) pool.parallel_for(10, [&](std::int64_t i) { sum += i; });
    });
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(sum.load(), 3 * 300 * 45);
}

TEST(ThreadPool, TakesNoProcessorTimeWhenIdle) {
  ThreadPool pool(4);
  pool.parallel_for(100, [](std::int64_t) {});
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  const double before = processor_seconds();
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  EXPECT_LT(processor_seconds() - before, 0.01);
}

TEST(ThreadPool, ComesAndGoesAtOnce) {
  for (int i = 0; i < 100; ++i) ThreadPool pool(3);
}

TEST(ThreadPool, TakesAsManyThreadsAsProcessorsByDefault) {
  EXPECT_GE(available_processors(), 1);
  EXPECT_EQ(ThreadPool().threads(), available_processors());
}

TEST(ThreadPool, RefusesImpossibleNumbersOfThreads) {
  EXPECT_THROW(ThreadPool(-1), Error);
  EXPECT_THROW(ThreadPool(5000), Error);
}

}  // namespace
}  // namespace heed
