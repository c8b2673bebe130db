#pragma once
#include <cstdint>

namespace heed::attention {

/// Scratch memory for one piece of work, taken from buffers that earlier pieces gave back: in steady state nothing is
/// asked of the system, and the last buffer used, which a cache still holds, is the first to be used again.
class Workspace {
 public:
  explicit Workspace(std::int64_t floats);
  ~Workspace();
  Workspace(const Workspace&) = delete;
  Workspace& operator=(const Workspace&) = delete;
  float* floats() const { return data_; }  ///< aligned to 64 bytes, not cleared

 private:
  float* data_ = nullptr;
  std::int64_t capacity_ = 0;
};

}  // namespace heed::attention
