#pragma once
#include <heed/generation_config.h>

#include <cstdint>
#include <span>
#include <vector>

namespace heed {

/// Tokens that may not come next: the end before min_tokens, and what would make no_repeat tokens come a second time
/// (Paulus et al. 2018, arXiv:1705.04304, section 2.5).
std::vector<std::int32_t> forbidden(std::span<const std::int32_t> generated, const GenerationConfig& config,
                                    std::int32_t end);

}  // namespace heed
