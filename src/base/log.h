#pragma once
#include <cstdint>
#include <functional>
#include <string_view>

namespace heed {

enum class LogLevel : std::uint8_t { debug, info, warning, error };

/// Where a caller wants to hear what happens; empty means nowhere. Handed down, never global.
using Log = std::function<void(LogLevel, std::string_view)>;

}  // namespace heed
