#pragma once
#include <heed/attention.h>

#include "attention/formula.h"
#include "attention/terms.h"

namespace heed {

/// A primitive of a mask, or an operator over one or two others (a null child stands for everything).
struct Mask::Node {
  enum class Kind : unsigned char {
    causal,
    window,
    first_keys,
    dilated,
    documents,
    key_lengths,
    allowed,
    blocks,
    rule,
    function,
    both,
    either,
    negation
  };
  Kind kind;
  std::int64_t value = 0;  ///< offset, width, count, stride, number of ids or lengths, or size of blocks
  std::string name;        ///< of rules and functions
  Tensor table;            ///< of `allowed` and `blocks`
  std::shared_ptr<const detail::PlainFunction> function;
  std::shared_ptr<const Node> left, right;
  /// All but operators: the same as a formula, in the order of evaluation.
  detail::FormulaPointer formula;
  std::shared_ptr<const attention::Terms> terms;
};

namespace attention {

/// The whole mask as one condition.
detail::FormulaPointer condition_of(const Mask& mask);
/// Throws Error when a table, pattern or list of lengths does not broadcast to so many sequences and heads.
void check_mask(const Mask& mask, std::int64_t sequences, std::int64_t heads);

}  // namespace attention

}  // namespace heed
