#pragma once
#include <heed/attention.h>

namespace heed {

/// A primitive of a mask, or an operator over one or two others (a null child stands for everything).
struct Mask::Node {
  enum class Kind : unsigned char { causal, window, first_keys, rule, both, either, negation };
  Kind kind;
  std::int64_t value = 0;  ///< offset, width or count
  std::string name;        ///< of a rule
  std::function<bool(int, int, std::int64_t, std::int64_t)> rule;
  std::shared_ptr<const Node> left, right;
};

}  // namespace heed
