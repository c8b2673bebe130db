#include "attention/terms.h"

#include <heed/error.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <unordered_map>

namespace heed::attention {

using detail::Formula;
using detail::FormulaPointer;
using detail::Operator;

namespace {

/// Of the same operator over the same terms.
bool same(const Terms::Term& a, const Terms::Term& b) {
  const Formula &f = *a.formula, &g = *b.formula;
  if (f.op != g.op || f.number != g.number || f.is_condition != g.is_condition || f.text != g.text ||
      f.function != g.function || f.children.size() != g.children.size() ||
      !(f.constant == g.constant || (f.constant != f.constant && g.constant != g.constant)))
    return false;
  if ((f.table == nullptr) != (g.table == nullptr) || (f.table && !(*f.table == *g.table))) return false;
  return std::equal(a.child, a.child + f.children.size(), b.child);
}

/// Memory for one value a term: on the stack for all but long formulas.
class Values {
 public:
  explicit Values(std::size_t count) : more_(count > std::size(few_) ? count : 0) {}
  double* data() { return more_.empty() ? few_ : more_.data(); }

 private:
  double few_[48];
  std::vector<double> more_;
};

}  // namespace

Terms::Terms(std::vector<FormulaPointer> roots) : formulas_(std::move(roots)) {
  std::unordered_map<const Formula*, int> by_address;
  std::unordered_multimap<std::uint64_t, int> by_hash;
  const std::function<int(const Formula*)> visit = [&](const Formula* formula) {
    if (const auto known = by_address.find(formula); known != by_address.end()) return known->second;
    Term term{formula, {-1, -1, -1, -1}};
    for (std::size_t i = 0; i < formula->children.size(); ++i) term.child[i] = visit(formula->children[i].get());
    const auto [first, last] = by_hash.equal_range(formula->hash);
    for (auto it = first; it != last; ++it)
      if (same(terms_[static_cast<std::size_t>(it->second)], term)) return by_address[formula] = it->second;
    const int index = static_cast<int>(terms_.size());
    terms_.push_back(term);
    by_hash.emplace(formula->hash, index);
    return by_address[formula] = index;
  };
  for (const FormulaPointer& root : formulas_) roots_.push_back(visit(root.get()));
}

namespace {

std::int64_t element_of(const Terms::Term& term, const double* values, const std::int64_t* extent,
                        const std::int64_t* stride) {
  std::int64_t element = 0;
  for (std::size_t i = 0; i < term.formula->children.size(); ++i)
    element += detail::lookup_index(values[term.child[i]], extent[i]) * stride[i];
  return element;
}

std::int64_t element_of(const Terms::Term& term, const double* values, const Tensor& tensor) {
  std::int64_t extent[4] = {}, stride[4] = {}, step = 1;
  const int rank = static_cast<int>(term.formula->children.size());
  for (int i = rank - 1; i >= 0; --i) {
    extent[i] = tensor.shape()[i];
    stride[i] = step;
    step *= extent[i];
  }
  return element_of(term, values, extent, stride);
}

}  // namespace

void Terms::evaluate(const Point& point, const std::vector<Tensor>& parameters, double* values) const {
  for (std::size_t i = 0; i < terms_.size(); ++i) {
    const Term& term = terms_[i];
    const Formula& formula = *term.formula;
    double& value = values[i];
    switch (formula.op) {
      case Operator::constant:
        value = formula.constant;
        break;
      case Operator::batch:
        value = point.batch;
        break;
      case Operator::head:
        value = point.head;
        break;
      case Operator::query:
        value = static_cast<double>(point.query);
        break;
      case Operator::key:
        value = static_cast<double>(point.key);
        break;
      case Operator::score:
        value = point.score;
        break;
      case Operator::table:
        value = formula.table->at(element_of(term, values, formula.table->extent, formula.table->stride));
        break;
      case Operator::parameter: {
        const Tensor& tensor = parameters[static_cast<std::size_t>(formula.number)];
        value = tensor.floats()[element_of(term, values, tensor)];
        break;
      }
      case Operator::function:
        value = (*formula.function)(point.batch, point.head, point.query, point.key);
        break;
      default:
        value = detail::apply(formula.op, values[term.child[0]], term.child[1] >= 0 ? values[term.child[1]] : 0.0,
                              term.child[2] >= 0 ? values[term.child[2]] : 0.0);
    }
  }
}

double Terms::value(const Point& point, const std::vector<Tensor>& parameters) const {
  Values values(terms_.size());
  evaluate(point, parameters, values.data());
  return values.data()[roots_[0]];
}

double Terms::derivative(const Point& point, const std::vector<Tensor>& parameters,
                         std::vector<ParameterShare>& shares) const {
  Values memory(terms_.size()), adjoints(terms_.size());
  double *value = memory.data(), *adjoint = adjoints.data(), of_score = 0.0;
  evaluate(point, parameters, value);
  std::fill_n(adjoint, terms_.size(), 0.0);
  adjoint[roots_[0]] = 1.0;
  for (int i = static_cast<int>(terms_.size()); i-- > 0;) {
    const double d = adjoint[i], y = value[i];
    if (d == 0.0) continue;
    const Term& term = terms_[static_cast<std::size_t>(i)];
    const int a = term.child[0], b = term.child[1], c = term.child[2];
    switch (term.formula->op) {
      case Operator::score:
        of_score += d;
        break;
      case Operator::parameter:
        shares.push_back({term.formula->number,
                          element_of(term, value, parameters[static_cast<std::size_t>(term.formula->number)]), d});
        break;
      case Operator::negate:
        adjoint[a] -= d;
        break;
      case Operator::absolute:
        adjoint[a] += value[a] > 0.0 ? d : value[a] < 0.0 ? -d : 0.0;
        break;
      case Operator::exp:
        adjoint[a] += d * y;
        break;
      case Operator::log:
        adjoint[a] += d / value[a];
        break;
      case Operator::sqrt:
        adjoint[a] += d * 0.5 / y;
        break;
      case Operator::tanh:
        adjoint[a] += d * (1.0 - y * y);
        break;
      case Operator::add:
        adjoint[a] += d;
        adjoint[b] += d;
        break;
      case Operator::subtract:
        adjoint[a] += d;
        adjoint[b] -= d;
        break;
      case Operator::multiply:
        adjoint[a] += d * value[b];
        adjoint[b] += d * value[a];
        break;
      case Operator::divide:
        adjoint[a] += d / value[b];
        adjoint[b] -= d * y / value[b];
        break;
      case Operator::minimum:
        adjoint[value[a] < value[b] ? a : b] += d;
        break;
      case Operator::maximum:
        adjoint[value[a] > value[b] ? a : b] += d;
        break;
      case Operator::choose:
        adjoint[value[a] != 0.0 ? b : c] += d;
        break;
      default:
        break;  // positions, constants, floor, lookups' indices and conditions: 0
    }
  }
  return of_score;
}

}  // namespace heed::attention
