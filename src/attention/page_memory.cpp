#include "attention/page_memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <new>
#include <vector>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define __SANITIZE_ADDRESS__ 1
#endif
#endif

namespace heed::attention {

#if defined(__SANITIZE_ADDRESS__)

// Each page by itself, so that the sanitizer sees where it ends.
void* take_page(std::int64_t bytes) { return ::operator new (static_cast<std::size_t>(bytes), std::align_val_t{64}); }
void give_page_back(void* page) noexcept { ::operator delete (page, std::align_val_t{64}); }

#else

namespace {

constexpr std::int64_t large_page = std::int64_t{2} << 20;
constexpr std::int64_t pages_of_region = 16;  ///< at least, unless one is larger than a large page

/// Memory of the system's, cut into pages.
struct Region {
  std::int64_t bytes, page;
  std::vector<char*> free;  ///< the last is the next to be taken; room for all
  std::int64_t used = 0;
};

struct Regions {
  std::mutex mutex;
  std::map<char*, Region> by_end;  ///< a page's region is the first that ends behind it
  char* empty = nullptr;           ///< the one without pages that is kept: its end

  /// Where the new region ends.
  char* add(std::int64_t page);
  void remove(char* end);
};

Regions& regions() {
  static auto* const all = new Regions;  // caches of static duration may outlive what is destroyed at exit
  return *all;
}

std::int64_t rounded_up(std::int64_t bytes, std::int64_t unit) { return (bytes + unit - 1) / unit * unit; }

char* Regions::add(std::int64_t page) {
  const std::int64_t bytes = rounded_up(page > large_page ? page : page * pages_of_region, large_page);
  Region region{bytes, page, {}};
  region.free.reserve(static_cast<std::size_t>(bytes / page));
  // Room to begin at a multiple of a large page; what lies around goes back at once.
  void* const all = mmap(nullptr, static_cast<std::size_t>(bytes + large_page), PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (all == MAP_FAILED) throw std::bad_alloc();
  const std::uintptr_t before = (large_page - reinterpret_cast<std::uintptr_t>(all) % large_page) % large_page;
  char* const begin = static_cast<char*>(all) + before;
  if (before > 0) munmap(all, before);
  munmap(begin + bytes, large_page - before);
#if defined(MADV_HUGEPAGE)
  madvise(begin, static_cast<std::size_t>(bytes), MADV_HUGEPAGE);
#endif
  for (std::int64_t i = bytes / page - 1; i >= 0; --i) region.free.push_back(begin + i * page);
  by_end.emplace(begin + bytes, std::move(region));
  return begin + bytes;
}

void Regions::remove(char* end) {
  const auto found = by_end.find(end);
  munmap(end - found->second.bytes, static_cast<std::size_t>(found->second.bytes));
  by_end.erase(found);
}

}  // namespace

void* take_page(std::int64_t bytes) {
  const std::int64_t page = rounded_up(bytes, 64);
  Regions& all = regions();
  const std::lock_guard guard(all.mutex);
  auto found = std::find_if(all.by_end.begin(), all.by_end.end(),
                            [&](const auto& entry) { return entry.second.page == page && !entry.second.free.empty(); });
  if (found == all.by_end.end()) found = all.by_end.find(all.add(page));
  Region& region = found->second;
  if (all.empty == found->first) all.empty = nullptr;
  char* const taken = region.free.back();
  region.free.pop_back();
  ++region.used;
  return taken;
}

void give_page_back(void* page) noexcept {
  Regions& all = regions();
  const std::lock_guard guard(all.mutex);
  const auto found = all.by_end.upper_bound(static_cast<char*>(page));
  found->second.free.push_back(static_cast<char*>(page));
  if (--found->second.used > 0) return;
  if (all.empty) all.remove(all.empty);
  all.empty = found->first;
}

#endif

}  // namespace heed::attention
