#pragma once
#include <heed/tensor.h>

#include <cstdint>

namespace heed {

/// Memory for activations, reused from step to step: what a trainer or session owns.
///
/// One contiguous reservation of address space; pages come from the system when first touched and then stay. A tensor
/// takes the lowest free place that fits, 64-byte aligned and uninitialised, and gives it back when the last Tensor
/// that shares it goes, so a step that repeats finds the same places and takes nothing from the system or the heap.
///
/// One thread at a time allocates; any thread may drop a tensor. Tensors may outlive the arena: the reservation goes
/// with the last of them.
class Arena {
 public:
  /// Reserves `bytes` (0: the machine's memory, or the container's limit). When the system refuses so much, half is
  /// tried, and so on; throws Error when even 64 MiB (or `bytes`, if that is less) is refused.
  explicit Arena(std::int64_t bytes = 0);
  ~Arena();
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  /// Uninitialised elements. Throws Error, with the bytes asked for, in use and reserved, when they do not fit.
  Tensor tensor(Shape shape, DType dtype = DType::float32);

  std::int64_t limit() const;  ///< bytes reserved
  std::int64_t used() const;   ///< bytes in use, each tensor rounded up to 64
  std::int64_t peak() const;   ///< the most bytes in use since the start or reset_peak()
  void reset_peak();
  std::int64_t live() const;  ///< tensors' storages in use

 private:
  struct Shared;
  Shared* shared_;
};

}  // namespace heed
