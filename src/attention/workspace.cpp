#include "attention/workspace.h"

#include <algorithm>
#include <mutex>
#include <new>
#include <vector>

#include "base/spin_lock.h"

namespace heed::attention {

namespace {

struct Buffer {
  float* data;
  std::int64_t floats;
};

constexpr std::align_val_t alignment{64};

/// Buffers that nobody uses. Contents never matter, so sharing them between pools and callers cannot change a result.
struct Spare {
  SpinLock lock;
  std::vector<Buffer> buffers;
  ~Spare() {
    for (const Buffer& buffer : buffers) ::operator delete(buffer.data, alignment);
  }
};

Spare& spare() {
  static Spare all;
  return all;
}

}  // namespace

Workspace::Workspace(std::int64_t floats) {
  Buffer found{nullptr, 0};
  {
    const std::lock_guard guard(spare().lock);
    if (!spare().buffers.empty()) {
      found = spare().buffers.back();
      spare().buffers.pop_back();
    }
  }
  if (found.floats < floats) {
    ::operator delete(found.data, alignment);
    found.data = static_cast<float*>(::operator new(static_cast<std::size_t>(floats) * sizeof(float), alignment));
    found.floats = floats;
  }
  data_ = found.data;
  capacity_ = found.floats;
}

Workspace::~Workspace() {
  try {
    const std::lock_guard guard(spare().lock);
    spare().buffers.push_back({data_, capacity_});
  } catch (const std::bad_alloc&) {
    ::operator delete(data_, alignment);
  }
}

}  // namespace heed::attention
