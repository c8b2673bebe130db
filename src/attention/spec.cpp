#include <heed/attention.h>

namespace heed {

std::string AttentionSpec::text() const {
  std::string text = "softmax attention, mask " + mask.text();
  text += scale ? heed::format(", scale {}", *scale) : std::string(", scale 1/sqrt(head width)");
  if (soft_cap != 0.0f) text += heed::format(", soft cap {}", soft_cap);
  if (dropout != 0.0f) text += heed::format(", dropout {}", dropout);
  return text;
}

}  // namespace heed
