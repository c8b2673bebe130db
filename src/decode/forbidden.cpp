#include "decode/forbidden.h"

#include <algorithm>

namespace heed {

std::vector<std::int32_t> forbidden(std::span<const std::int32_t> generated, const GenerationConfig& config,
                                    std::int32_t end) {
  std::vector<std::int32_t> tokens;
  const auto count = static_cast<std::int64_t>(generated.size()), before = config.no_repeat - 1;
  if (end >= 0 && count < config.min_tokens) tokens.push_back(end);
  if (before < 0 || count < before) return tokens;
  const auto last = generated.last(static_cast<std::size_t>(before));
  for (std::int64_t i = 0; i + before < count; ++i) {
    const auto here = generated.subspan(static_cast<std::size_t>(i), static_cast<std::size_t>(before));
    if (std::equal(here.begin(), here.end(), last.begin()))
      tokens.push_back(generated[static_cast<std::size_t>(i + before)]);
  }
  return tokens;
}

}  // namespace heed
