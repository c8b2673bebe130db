#pragma once
#include <vector>

#include "attention/formula.h"

namespace heed::attention {

/// The derivatives of a rule as formulas, which share its terms.
struct Adjoints {
  struct OfParameter {
    detail::FormulaPointer lookup;  ///< the element of a parameter
    detail::FormulaPointer derivative;
  };
  detail::FormulaPointer of_score;  ///< constant 0 when the rule does not read the score
  std::vector<OfParameter> of_parameters;
};

/// Reverse accumulation over the rule's terms (Linnainmaa 1976). Conditions, floors and indices have derivative 0, and
/// so has abs at 0; min(a, b) is b where they are equal, and so is max.
Adjoints adjoints_of(const detail::FormulaPointer& rule);

}  // namespace heed::attention
