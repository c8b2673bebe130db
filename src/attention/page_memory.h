#pragma once
#include <cstdint>

namespace heed::attention {

/// Memory for pages of caches, aligned to 64 bytes and not cleared. Pages of one size lie side by side in regions for
/// which the system is asked for large pages of its own: what reads a long cache then needs few translations of
/// addresses. Regions without pages go back to the system, but for the last.
void* take_page(std::int64_t bytes);
void give_page_back(void* page) noexcept;

}  // namespace heed::attention
