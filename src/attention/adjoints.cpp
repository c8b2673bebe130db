#include "attention/adjoints.h"

#include <optional>

#include "attention/terms.h"

namespace heed::attention {

using detail::FormulaPointer;
using detail::Operator;

Adjoints adjoints_of(const FormulaPointer& rule) {
  const Terms terms({rule});
  const std::size_t count = terms.all().size();
  std::vector<FormulaPointer> self(count);
  self[static_cast<std::size_t>(terms.root(0))] = rule;
  for (const Terms::Term& term : terms.all())
    for (std::size_t i = 0; i < term.formula->children.size(); ++i)
      self[static_cast<std::size_t>(term.child[i])] = term.formula->children[i];

  std::vector<std::optional<Number>> adjoint(count);  // nothing: 0
  std::vector<bool> may_vanish(count, false);         // where a choice was made: 0 then wins over an infinite factor
  adjoint[static_cast<std::size_t>(terms.root(0))] = Number(1);
  Adjoints result{detail::constant_formula(0), {}};
  for (std::size_t i = count; i-- > 0;) {
    if (!adjoint[i]) continue;
    const Terms::Term& term = terms.all()[i];
    const Number d = *adjoint[i], y(self[i]);
    const auto child = [&](int number) { return Number(self[static_cast<std::size_t>(term.child[number])]); };
    const auto condition = [&] { return Condition(self[static_cast<std::size_t>(term.child[0])]); };
    const auto times = [&](const Number& factor) {
      return may_vanish[i] ? Number(detail::formula(Operator::weigh, {d.formula(), factor.formula()})) : d * factor;
    };
    const auto add = [&](int number, const Number& value, bool chosen = false) {
      const auto to = static_cast<std::size_t>(term.child[number]);
      // Only what leads to the score or a parameter matters.
      if ((self[to]->depends & (detail::Formula::of_score | detail::Formula::of_parameters)) == 0) return;
      adjoint[to] = adjoint[to] ? *adjoint[to] + value : value;
      may_vanish[to] = may_vanish[to] || may_vanish[i] || chosen;
    };
    switch (term.formula->op) {
      case Operator::score:
        result.of_score = d.formula();
        break;
      case Operator::parameter:
        result.of_parameters.push_back({self[i], d.formula()});
        break;
      case Operator::negate:
        add(0, -d);
        break;
      case Operator::absolute:
        add(0, where(child(0) > 0, d, where(child(0) < 0, -d, 0)), true);
        break;
      case Operator::exp:
        add(0, times(y));
        break;
      case Operator::log:
        add(0, may_vanish[i] ? times(1 / child(0)) : d / child(0));
        break;
      case Operator::sqrt:
        add(0, times(0.5 / y));
        break;
      case Operator::tanh:
        add(0, times(1 - y * y));
        break;
      case Operator::add:
        add(0, d);
        add(1, d);
        break;
      case Operator::subtract:
        add(0, d);
        add(1, -d);
        break;
      case Operator::multiply:
        add(0, times(child(1)));
        add(1, times(child(0)));
        break;
      case Operator::divide:
        add(0, may_vanish[i] ? times(1 / child(1)) : d / child(1));
        add(1, -times(y / child(1)));
        break;
      case Operator::minimum:
        add(0, where(child(0) < child(1), d, 0), true);
        add(1, where(child(0) < child(1), 0, d), true);
        break;
      case Operator::maximum:
        add(0, where(child(0) > child(1), d, 0), true);
        add(1, where(child(0) > child(1), 0, d), true);
        break;
      case Operator::choose:
        add(1, where(condition(), d, 0), true);
        add(2, where(condition(), 0, d), true);
        break;
      default:
        break;
    }
  }
  return result;
}

}  // namespace heed::attention
