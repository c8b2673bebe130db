#pragma once
#include <cstdint>

namespace heed {

/// Bytes of memory that this process could have at most: the machine's, or the container's limit where that is less.
std::int64_t physical_memory();

/// Bytes that can be taken now without swapping: what the kernel calls available, or the container's limit less its
/// use.
std::int64_t available_memory();

}  // namespace heed
