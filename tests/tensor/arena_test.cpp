#include <gtest/gtest.h>
#include <heed/arena.h>
#include <heed/random.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <memory>
#include <thread>
#include <vector>

#include "base/memory.h"

namespace heed {
namespace {

constexpr std::int64_t mebibyte = 1 << 20;

TEST(Arena, GivesAlignedTensorsAtTheLowestFreePlace) {
  Arena arena(mebibyte);
  const Tensor first = arena.tensor({3});
  Tensor second = arena.tensor({100});
  const Tensor third = arena.tensor({5}, DType::bfloat16);
  for (const Tensor& tensor : {first, second, third})
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(tensor.data()) % 64, 0u);
  const void* hole = second.data();
  second = Tensor();
  EXPECT_EQ(arena.tensor({90}).data(), hole);
  EXPECT_GT(arena.tensor({120}).data(), third.data());
}

TEST(Arena, CountsBytesInUseAndTheirPeak) {
  Arena arena(mebibyte);
  Tensor small = arena.tensor({1});
  Tensor large = arena.tensor({100});
  EXPECT_EQ(arena.used(), 64 + 448);
  EXPECT_EQ(arena.live(), 2);
  large = Tensor();
  EXPECT_EQ(arena.used(), 64);
  EXPECT_EQ(arena.peak(), 64 + 448);
  arena.reset_peak();
  EXPECT_EQ(arena.peak(), 64);
  EXPECT_EQ(arena.limit(), mebibyte);
}

TEST(Arena, KeepsMemoryWhileAnyTensorSharesIt) {
  Arena arena(mebibyte);
  Tensor whole = arena.tensor({4, 4});
  const Tensor row = whole.slice(1, 2);
  whole = Tensor();
  EXPECT_EQ(arena.live(), 1);
}

TEST(Arena, JoinsFreedNeighboursWhateverTheOrder) {
  Arena arena(6 * 64);
  int order[] = {0, 1, 2, 3, 4, 5};
  do {
    Tensor tensors[6];
    for (Tensor& tensor : tensors) tensor = arena.tensor({16});
    EXPECT_THROW(arena.tensor({1}), Error);
    for (const int i : order) tensors[i] = Tensor();
    ASSERT_TRUE(arena.tensor({6 * 16}));
  } while (std::next_permutation(std::begin(order), std::end(order)));
  EXPECT_EQ(arena.used(), 0);
}

TEST(Arena, NamesBytesAskedInUseAndReservedWhenFull) {
  Arena arena(1024);
  const Tensor held = arena.tensor({64});
  try {
    arena.tensor({1000});
    FAIL() << "expected an error";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(),
                 "arena: 4000 bytes asked for [1000] of float32 do not fit: 256 bytes are in use of 1024 reserved; use "
                 "smaller batches or shorter sequences");
  }
  EXPECT_THROW(arena.tensor({std::int64_t{1} << 62}), Error);
  EXPECT_THROW(arena.tensor({INT64_MAX}, DType::int8), Error);
  EXPECT_TRUE(arena.tensor({192}));
}

TEST(Arena, GivesTensorsOfNoElements) {
  Arena arena(mebibyte);
  EXPECT_TRUE(arena.tensor({0, 8}));
}

TEST(Arena, ReservesTheMemoryThereIsByDefault) {
  Arena arena;
  EXPECT_GE(arena.limit(), 64 * mebibyte);
  EXPECT_LE(arena.limit(), physical_memory() + 64);
}

TEST(Arena, ReservesLessWhenTheSystemRefuses) {
  Arena arena(INT64_MAX);
  EXPECT_GE(arena.limit(), 64 * mebibyte);
  EXPECT_THROW(Arena(-1), Error);
}

TEST(Arena, IsOutlivedByItsTensors) {
  auto arena = std::make_unique<Arena>(mebibyte);
  const Tensor tensor = arena->tensor({1000});
  arena.reset();
  tensor.fill(3);
  EXPECT_EQ(tensor.floats()[999], 3);
}

TEST(Arena, FindsTheSamePlacesInEveryStep) {
  Arena arena(16 * mebibyte);
  std::vector<void*> places[2];
  for (auto& step : places) {
    std::vector<Tensor> tape;
    for (std::int64_t i = 1; i < 300; ++i) {
      const Tensor scratch = arena.tensor({i * 7});
      tape.push_back(arena.tensor({i * 3}));
      step.push_back(tape.back().data());
    }
    while (!tape.empty()) tape.pop_back();
  }
  EXPECT_EQ(places[0], places[1]);
}

// Random taking and giving back: no two live tensors share a byte, and everything comes together in the end.
TEST(Arena, NeverHandsOutAByteTwice) {
  Arena arena(mebibyte);
  const RandomKey key{11};
  std::vector<Tensor> live;
  for (std::uint64_t i = 0; i < 20000; ++i) {
    if (!live.empty() && (uniform(key, 3 * i) < 0.5f || live.size() > 200)) {
      const auto chosen =
          static_cast<std::size_t>(uniform_index(key, 3 * i + 1, static_cast<std::int64_t>(live.size())));
      const Tensor& tensor = live[chosen];
      const std::uint8_t mark = *tensor.as<std::uint8_t>();
      ASSERT_EQ(std::count(tensor.as<std::uint8_t>(), tensor.as<std::uint8_t>() + tensor.elements(), mark),
                tensor.elements());
      live.erase(live.begin() + static_cast<std::ptrdiff_t>(chosen));
    } else {
      live.push_back(arena.tensor({1 + uniform_index(key, 3 * i + 2, 2000)}, DType::uint8));
      std::memset(live.back().data(), static_cast<int>(i % 251), static_cast<std::size_t>(live.back().bytes()));
    }
  }
  live.clear();
  EXPECT_EQ(arena.used(), 0);
  EXPECT_TRUE(arena.tensor({mebibyte}, DType::uint8));
}

TEST(Arena, TakesTensorsBackFromOtherThreads) {
  Arena arena(mebibyte);
  std::atomic<Tensor*> handed{nullptr};
  std::atomic<bool> finished{false};
  std::thread other([&] {
    while (!finished.load())
      if (Tensor* tensor = handed.exchange(nullptr))
        delete tensor;
      else
        std::this_thread::yield();
  });
  for (int i = 0; i < 2000; ++i) {
    auto* tensor = new Tensor(arena.tensor({16 + i % 50}));
    tensor->fill(1);
    delete handed.exchange(tensor);
  }
  finished.store(true);
  other.join();
  delete handed.load();
  EXPECT_EQ(arena.live(), 0);
}

}  // namespace
}  // namespace heed
