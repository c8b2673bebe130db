#include "attention/compiler.h"

#include <heed/error.h>

#include <algorithm>
#include <bit>
#include <limits>

namespace heed::attention {

using detail::Formula;
using detail::FormulaPointer;
using detail::Operator;

namespace {

Along joined(Along a, Along b) { return static_cast<Along>(static_cast<int>(a) | static_cast<int>(b)); }
static_assert(static_cast<int>(Along::rows) == 1 && static_cast<int>(Along::lanes) == 2 &&
              static_cast<int>(Along::both) == 3);
bool within(Along inner, Along outer) { return joined(inner, outer) == outer; }

RowOperation operation_of(Operator op) {
  switch (op) {
    case Operator::negate:
      return RowOperation::negate;
    case Operator::absolute:
      return RowOperation::absolute;
    case Operator::exp:
      return RowOperation::exp;
    case Operator::log:
      return RowOperation::log;
    case Operator::sqrt:
      return RowOperation::sqrt;
    case Operator::tanh:
      return RowOperation::tanh;
    case Operator::floor:
      return RowOperation::floor;
    case Operator::add:
      return RowOperation::add;
    case Operator::subtract:
      return RowOperation::subtract;
    case Operator::multiply:
      return RowOperation::multiply;
    case Operator::weigh:
      return RowOperation::weigh;
    case Operator::minimum:
      return RowOperation::minimum;
    case Operator::maximum:
      return RowOperation::maximum;
    case Operator::less:
      return RowOperation::less;
    case Operator::less_equal:
      return RowOperation::less_equal;
    case Operator::equal:
      return RowOperation::equal;
    case Operator::not_equal:
      return RowOperation::not_equal;
    case Operator::both:
      return RowOperation::both;
    case Operator::either:
      return RowOperation::either;
    case Operator::negation:
      return RowOperation::negation;
    case Operator::choose:
      return RowOperation::choose;
    default:
      return RowOperation::copy;
  }
}

bool invoke_plain(const void* function, int batch, int head, std::int64_t query, std::int64_t key) {
  return (*static_cast<const detail::PlainFunction*>(function))(batch, head, query, key);
}

}  // namespace

RowCode CodeMemory::code() const {
  RowCode code;
  code.instructions = instructions.data();
  std::copy(std::begin(ends), std::end(ends), code.ends);
  code.constants = constants.data();
  code.lookups = lookups.data();
  code.calls = calls.data();
  code.gradients = gradients.data();
  code.gradient_count = static_cast<int>(gradients.size());
  code.keeps_pairs = keeps_pairs;
  return code;
}

Compiler::Compiler(bool lanes_are_keys, const std::vector<Tensor>& parameters)
    : lanes_are_keys_(lanes_are_keys), parameters_(parameters) {}

Along Compiler::along_of(unsigned depends) const {
  if (depends & Formula::of_score) return Along::both;
  Along along = Along::nothing;
  if (depends & Formula::of_query) along = joined(along, lanes_are_keys_ ? Along::rows : Along::lanes);
  if (depends & Formula::of_key) along = joined(along, lanes_are_keys_ ? Along::lanes : Along::rows);
  return along;
}

int Compiler::push(Step step) {
  for (std::size_t i = 0; i < steps_.size(); ++i) {
    const Step& other = steps_[i];
    if (other.operation == step.operation && other.operands == step.operands && other.along == step.along &&
        other.given == step.given && other.place.memory == step.place.memory && other.lookup == step.lookup &&
        other.call == step.call &&
        std::bit_cast<std::uint32_t>(other.constant) == std::bit_cast<std::uint32_t>(step.constant))
      return static_cast<int>(i);
  }
  steps_.push_back(std::move(step));
  return static_cast<int>(steps_.size()) - 1;
}

int Compiler::leaf(RowMemory memory) {
  Step step;
  step.given = true;
  step.along = Along::both;
  step.place = {memory, Along::both, 0};
  step.from_scores = true;
  return push(std::move(step));
}

int Compiler::constant(float value) {
  Step step;
  step.given = true;
  step.place.memory = RowMemory::constants;
  step.constant = value;
  return push(std::move(step));
}

int Compiler::condition_constant(bool value) { return constant(std::bit_cast<float>(value ? 0xffffffffu : 0u)); }

int Compiler::step(RowOperation operation, const std::vector<int>& operands) {
  Step step;
  step.operation = operation;
  step.operands = operands;
  for (const int operand : operands) {
    step.along = joined(step.along, at(operand).along);
    step.from_scores |= at(operand).from_scores;
  }
  return push(std::move(step));
}

/// A quotient of scores may be a product with a reciprocal that is made once; one of positions stays exact.
int Compiler::quotient(int a, int b) {
  const bool hoists = at(a).from_scores && at(b).along != Along::both;
  if (!hoists) return step(RowOperation::divide, {a, b});
  const bool is_constant = at(b).given && at(b).place.memory == RowMemory::constants;
  return step(RowOperation::multiply,
              {a, is_constant ? constant(1.0f / at(b).constant) : step(RowOperation::divide, {constant(1.0f), b})});
}

std::optional<FormulaPointer> Compiler::rest_of_line(const FormulaPointer& index) const {
  const auto along = [&](const FormulaPointer& f) { return along_of(f->depends); };
  if (index->op == (lanes_are_keys_ ? Operator::key : Operator::query)) return detail::constant_formula(0);
  if (index->op != Operator::add && index->op != Operator::subtract) return {};
  const FormulaPointer &a = index->children[0], &b = index->children[1];
  if (within(along(b), Along::rows))
    if (const auto rest = rest_of_line(a)) return detail::formula(index->op, {*rest, b});
  if (index->op == Operator::add && within(along(a), Along::rows))
    if (const auto rest = rest_of_line(b)) return detail::formula(Operator::add, {a, *rest});
  return {};
}

int Compiler::looked_up(const Formula& formula) {
  RowLookup lookup{};
  lookup.line = -1;
  Shape shape;
  if (formula.table) {
    shape = formula.table->tensor.shape();
    lookup.data = formula.table->tensor.data();
    lookup.type = formula.table->tensor.dtype();
    memory_.tables.push_back(formula.table);
  } else {
    const auto number = static_cast<std::size_t>(formula.number);
    if (number >= parameters_.size())
      throw Error("attention: the score rule reads parameter {}, the problem has {}", formula.number,
                  parameters_.size());
    const Tensor& tensor = parameters_[number];
    shape = tensor.shape();
    const auto indices = static_cast<int>(formula.children.size());
    if (tensor.dtype() != DType::float32 || shape.rank() != indices || shape.elements() == 0)
      throw Error(
          "attention: parameter {} is {} {}, the score rule looks it up by {} {}; expected float32 with one "
          "dimension each, none of them 0",
          formula.number, name_of(tensor.dtype()), shape, indices, indices == 1 ? "index" : "indices");
    lookup.data = tensor.data();
    lookup.type = DType::float32;
  }
  Step step;
  step.operation = RowOperation::lookup;
  std::int64_t stride = 1, farthest = 0;
  bool line_fits = true;
  for (int d = shape.rank() - 1; d >= 0; --d) {
    const FormulaPointer& index = formula.children[static_cast<std::size_t>(d)];
    if (shape[d] > 1) {
      const int to = lookup.rank++;
      lookup.extent[to] = shape[d];
      lookup.stride[to] = stride;
      const Along along = along_of(index->depends);
      const bool varies = !within(along, Along::rows);
      const auto rest = varies ? rest_of_line(index) : std::nullopt;
      if (rest && lookup.line < 0) {
        lookup.line = to;
        step.operands.push_back(value(*rest));
        step.along = Along::lanes;
      } else {
        step.operands.push_back(value(index));
        line_fits &= !varies;
        farthest += varies ? (shape[d] - 1) * stride : 0;
      }
      step.along = joined(step.along, along);
    }
    stride *= shape[d];
  }
  if (lookup.line >= 0 && !line_fits) {  // another index varies along lanes as well: all are looked up one by one
    for (int d = shape.rank() - 1, to = 0; d >= 0; --d) {
      if (shape[d] == 1) continue;
      if (to == lookup.line) {
        step.operands[static_cast<std::size_t>(to)] = value(formula.children[static_cast<std::size_t>(d)]);
        farthest += (shape[d] - 1) * lookup.stride[to];
      }
      ++to;
    }
    lookup.line = -1;
  }
  if (farthest > std::numeric_limits<std::int32_t>::max())
    throw Error(
        "attention: a table of shape {} is too large to be looked up by computed positions; the limit is 2^31 "
        "elements",
        shape);
  for (const int operand : step.operands) step.along = joined(step.along, at(operand).along);
  const auto same = [&](const RowLookup& other) {
    return other.data == lookup.data && other.type == lookup.type && other.rank == lookup.rank &&
           other.line == lookup.line && std::equal(lookup.stride, lookup.stride + 4, other.stride) &&
           std::equal(lookup.extent, lookup.extent + 4, other.extent);
  };
  for (const Step& other : steps_)
    if (other.lookup >= 0 && other.operands == step.operands &&
        same(memory_.lookups[static_cast<std::size_t>(other.lookup)]))
      step.lookup = other.lookup;
  if (step.lookup < 0) {
    memory_.lookups.push_back(lookup);
    step.lookup = static_cast<int>(memory_.lookups.size()) - 1;
  }
  return push(std::move(step));
}

int Compiler::value(const FormulaPointer& pointer) {
  const Formula& formula = *pointer;
  if (const auto found = known_.find(&formula); found != known_.end()) return found->second;
  kept_.push_back(pointer);
  const auto child = [&](std::size_t number) { return value(formula.children[number]); };
  int result = -1;
  switch (formula.op) {
    case Operator::constant:
      result = formula.is_condition ? condition_constant(formula.constant != 0.0)
                                    : constant(static_cast<float>(formula.constant));
      break;
    case Operator::score:
      result = leaf(RowMemory::scores);
      break;
    case Operator::batch:
      result = step(RowOperation::batch, {});
      break;
    case Operator::head:
      result = step(RowOperation::head, {});
      break;
    case Operator::query:
    case Operator::key: {
      Step position;
      position.operation = RowOperation::position;
      position.along = along_of(formula.depends);
      result = push(std::move(position));
      break;
    }
    case Operator::table:
    case Operator::parameter:
      result = looked_up(formula);
      break;
    case Operator::function: {
      Step call;
      call.operation = RowOperation::call;
      call.along = Along::both;
      memory_.functions.push_back(formula.function);
      memory_.calls.push_back({formula.function.get(), invoke_plain});
      call.call = static_cast<int>(memory_.calls.size()) - 1;
      result = push(std::move(call));
      break;
    }
    case Operator::divide: {
      const int a = child(0);
      result = quotient(a, child(1));
      break;
    }
    default: {
      const RowOperation operation = operation_of(formula.op);
      const int a = child(0);
      if (formula.children.size() == 1) {
        result = step(operation, {a});
      } else if (formula.children.size() == 2) {
        result = step(operation, {a, child(1)});
      } else {
        const int b = child(1);
        result = step(operation, {a, b, child(2)});
      }
    }
  }
  return known_[&formula] = result;
}

/// A bound of the row against an element of a table of bytes: what tables of booleans come to. They are not made
/// floats.
bool Compiler::forbid_by_bytes(const Formula& condition) {
  const bool differs = condition.op == Operator::not_equal && condition.children[1]->op == Operator::constant &&
                       condition.children[1]->constant == 0.0;
  if (!differs && condition.op != Operator::less) return false;
  const FormulaPointer &bound = condition.children[differs ? 1 : 0], &element = condition.children[differs ? 0 : 1];
  if (element->op != Operator::table || !within(along_of(bound->depends), Along::rows)) return false;
  const int looked_up = value(element);
  const RowLookup& lookup = memory_.lookups[static_cast<std::size_t>(at(looked_up).lookup)];
  if (at(looked_up).along != Along::both || size_of(lookup.type) != 1) return false;
  Step step;
  step.operation = RowOperation::forbid_unless_more;
  step.along = Along::both;
  step.lookup = at(looked_up).lookup;
  step.place = {RowMemory::scores, Along::both, 0};
  step.operands = {value(bound)};
  const std::vector<int>& indices = at(looked_up).operands;
  step.operands.insert(step.operands.end(), indices.begin(), indices.end());
  forbids_.push_back(push(std::move(step)));
  return true;
}

void Compiler::forbid_unless(const FormulaPointer& condition) {
  if (condition->op == Operator::both) {
    for (const FormulaPointer& child : condition->children) forbid_unless(child);
    return;
  }
  if (forbid_by_bytes(*condition)) return;
  const auto compared = [&]() -> RowOperation {
    switch (condition->op) {
      case Operator::less:
        return RowOperation::forbid_unless_less;
      case Operator::less_equal:
        return RowOperation::forbid_unless_less_equal;
      case Operator::equal:
        return RowOperation::forbid_unless_equal;
      case Operator::not_equal:
        return RowOperation::forbid_unless_not_equal;
      default:
        return RowOperation::forbid;
    }
  };
  Step step;
  step.operation = along_of(condition->depends) == Along::both ? compared() : RowOperation::forbid;
  if (step.operation == RowOperation::forbid)
    step.operands = {value(condition)};
  else
    step.operands = {value(condition->children[0]), value(condition->children[1])};
  step.along = Along::both;
  step.place = {RowMemory::scores, Along::both, 0};
  forbids_.push_back(push(std::move(step)));
}

void Compiler::to_gradient(const FormulaPointer& lookup, int of_element) {
  const int element = value(lookup);
  gradients_.push_back({of_element, at(element).lookup, lookup->number});
}

}  // namespace heed::attention
