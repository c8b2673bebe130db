#include <heed/arena.h>
#include <sys/mman.h>

#include <algorithm>
#include <memory>
#include <mutex>
#include <vector>

#include "base/memory.h"
#include "base/spin_lock.h"

#if defined(__SANITIZE_ADDRESS__)
#define HEED_POISONING 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HEED_POISONING 1
#endif
#endif
#ifdef HEED_POISONING
#include <sanitizer/asan_interface.h>
#endif

namespace heed {

namespace {

constexpr std::int64_t alignment = 64;
constexpr std::int64_t huge_page = std::int64_t{2} << 20;
constexpr std::int64_t least_reservation = std::int64_t{64} << 20;

// Freed memory is poisoned for AddressSanitizer, memory never handed out is not: its shadow would be gigabytes.
void poison([[maybe_unused]] std::byte* data, [[maybe_unused]] std::int64_t bytes) {
#ifdef HEED_POISONING
  ASAN_POISON_MEMORY_REGION(data, static_cast<std::size_t>(bytes));
#endif
}
void unpoison([[maybe_unused]] std::byte* data, [[maybe_unused]] std::int64_t bytes) {
#ifdef HEED_POISONING
  ASAN_UNPOISON_MEMORY_REGION(data, static_cast<std::size_t>(bytes));
#endif
}

// A stretch of the reservation. All stretches form a list by address, the free ones a second list, also by address; two
// free ones are never neighbours.
struct Block : Storage {
  std::int64_t offset = 0;
  std::int64_t size = 0;
  bool free = false;
  Block* previous = nullptr;
  Block* next = nullptr;
  Block* previous_free = nullptr;
  Block* next_free = nullptr;  // also links the unused records
};

}  // namespace

struct Arena::Shared {
  explicit Shared(std::int64_t wanted);
  ~Shared();
  Block* take(std::int64_t bytes);
  void give_back(Block* block) noexcept;
  Block* record();
  void retire(Block* block) noexcept;
  void link_free(Block* block) noexcept;
  void unlink_free(Block* block) noexcept;

  mutable SpinLock lock;
  void* mapping = nullptr;
  std::int64_t mapping_bytes = 0;
  std::byte* base = nullptr;
  std::int64_t limit = 0;
  std::int64_t used = 0;
  std::int64_t peak = 0;
  std::int64_t live = 0;
  std::int64_t touched = 0;  // nothing at or beyond this offset was ever handed out
  bool owned = true;
  Block* first_free = nullptr;
  Block* unused = nullptr;
  std::vector<std::unique_ptr<Block[]>> records;
};

Arena::Shared::Shared(std::int64_t wanted) {
  if (wanted < 0) throw Error("arena: {} bytes asked for; expected 0 (all memory) or more", wanted);
  if (wanted == 0) wanted = std::max(physical_memory(), least_reservation);
  wanted = std::min(wanted, std::int64_t{1} << 46);
  const std::int64_t least = std::min(wanted, least_reservation);
  for (limit = (wanted + alignment - 1) / alignment * alignment;; limit = limit / 2 / alignment * alignment) {
    if (limit < least) throw Error("arena: the system refuses to reserve even {} bytes of address space", least);
    mapping_bytes = limit + huge_page;
    mapping = mmap(nullptr, static_cast<std::size_t>(mapping_bytes), PROT_READ | PROT_WRITE,
                   MAP_NORESERVE | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapping != MAP_FAILED) break;
  }
#ifdef MADV_HUGEPAGE
  madvise(mapping, static_cast<std::size_t>(mapping_bytes), MADV_HUGEPAGE);  // only a wish: a refusal costs speed
#endif
  const auto address = reinterpret_cast<std::uintptr_t>(mapping);
  base = static_cast<std::byte*>(mapping) + (huge_page - address % huge_page) % huge_page;
  Block* whole = record();
  whole->size = limit;
  link_free(whole);
}

Arena::Shared::~Shared() {
  unpoison(base, touched);  // the addresses may be mapped for something else
  munmap(mapping, static_cast<std::size_t>(mapping_bytes));
}

Block* Arena::Shared::record() {
  if (!unused) {
    const std::size_t count = std::size_t{64} << std::min<std::size_t>(records.size(), 8);
    records.push_back(std::make_unique<Block[]>(count));
    for (std::size_t i = count; i-- > 0;) retire(&records.back()[i]);
  }
  Block* block = unused;
  unused = block->next_free;
  block->next_free = nullptr;
  return block;
}

void Arena::Shared::retire(Block* block) noexcept {
  block->previous = block->next = block->previous_free = nullptr;
  block->free = false;
  block->next_free = unused;
  unused = block;
}

void Arena::Shared::link_free(Block* block) noexcept {
  Block* before = nullptr;
  Block* after = first_free;
  while (after && after->offset < block->offset) {
    before = after;
    after = after->next_free;
  }
  block->free = true;
  block->previous_free = before;
  block->next_free = after;
  (before ? before->next_free : first_free) = block;
  if (after) after->previous_free = block;
}

void Arena::Shared::unlink_free(Block* block) noexcept {
  (block->previous_free ? block->previous_free->next_free : first_free) = block->next_free;
  if (block->next_free) block->next_free->previous_free = block->previous_free;
  block->previous_free = block->next_free = nullptr;
  block->free = false;
}

Block* Arena::Shared::take(std::int64_t bytes) {
  const std::int64_t size =
      bytes > limit ? bytes : std::max((bytes + alignment - 1) / alignment, std::int64_t{1}) * alignment;
  Block* place = first_free;
  while (place && place->size < size) place = place->next_free;
  if (!place) return nullptr;
  Block* block = place;
  if (place->size > size) {  // the tensor takes the front; the free block keeps its links and shrinks
    block = record();
    block->offset = place->offset;
    block->size = size;
    block->previous = place->previous;
    block->next = place;
    if (place->previous) place->previous->next = block;
    place->previous = block;
    place->offset += size;
    place->size -= size;
  } else {
    unlink_free(block);
  }
  block->data = base + block->offset;
  block->bytes = bytes;
  block->owner = this;
  block->release = [](Storage* self) noexcept {
    static_cast<Shared*>(self->owner)->give_back(static_cast<Block*>(self));
  };
  unpoison(base + block->offset, bytes);
  touched = std::max(touched, block->offset + size);
  used += size;
  peak = std::max(peak, used);
  ++live;
  return block;
}

void Arena::Shared::give_back(Block* block) noexcept {
  bool last = false;
  {
    std::lock_guard guard(lock);
    poison(base + block->offset, block->size);
    used -= block->size;
    --live;
    Block* after = block->next;
    Block* before = block->previous;
    if (after && after->free) {  // `after` grows downwards and stands in the free list already
      after->offset = block->offset;
      after->size += block->size;
      after->previous = before;
      if (before) before->next = after;
      retire(block);
      block = after;
    }
    if (before && before->free) {
      before->size += block->size;
      before->next = block->next;
      if (block->next) block->next->previous = before;
      if (block->free) unlink_free(block);
      retire(block);
    } else if (!block->free) {
      link_free(block);
    }
    last = !owned && live == 0;
  }
  if (last) delete this;
}

Arena::Arena(std::int64_t bytes) : shared_(new Shared(bytes)) {}

Arena::~Arena() {
  bool last = false;
  {
    std::lock_guard guard(shared_->lock);
    shared_->owned = false;
    last = shared_->live == 0;
  }
  if (last) delete shared_;
}

Tensor Arena::tensor(Shape shape, DType dtype) {
  std::int64_t bytes = 0;
  if (__builtin_mul_overflow(shape.elements(), size_of(dtype), &bytes))
    throw Error("arena: {} of {} is more memory than 64 bits can count", shape, name_of(dtype));
  std::int64_t in_use = 0;
  {
    std::lock_guard guard(shared_->lock);
    if (Block* block = shared_->take(bytes)) return Tensor(block, block->data, shape, dtype);
    in_use = shared_->used;
  }
  throw Error(
      "arena: {} bytes asked for {} of {} do not fit: {} bytes are in use of {} reserved; use smaller batches or "
      "shorter sequences",
      bytes, shape, name_of(dtype), in_use, limit());
}

std::int64_t Arena::limit() const { return shared_->limit; }

std::int64_t Arena::used() const {
  std::lock_guard guard(shared_->lock);
  return shared_->used;
}

std::int64_t Arena::peak() const {
  std::lock_guard guard(shared_->lock);
  return shared_->peak;
}

void Arena::reset_peak() {
  std::lock_guard guard(shared_->lock);
  shared_->peak = shared_->used;
}

std::int64_t Arena::live() const {
  std::lock_guard guard(shared_->lock);
  return shared_->live;
}

}  // namespace heed
