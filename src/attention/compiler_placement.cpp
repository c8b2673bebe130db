#include <algorithm>
#include <map>

#include "attention/compiler.h"

// The second half of compiling: which steps are made as one, in which order, and where their values lie.
namespace heed::attention {

void Compiler::count_uses() {
  std::vector<int> waiting;
  const auto use = [&](int index) {
    if (index >= 0 && at(index).uses++ == 0) waiting.push_back(index);
  };
  for (Step& step : steps_) step.uses = 0;
  use(scores_);
  use(second_);
  for (const int forbid : forbids_) use(forbid);
  for (const Gradient& gradient : gradients_) {
    use(gradient.value);
    // Its indices are read behind all instructions; the element itself need not be.
    for (const Step& step : steps_)
      if (step.lookup == gradient.lookup)
        for (const int operand : step.operands) use(operand);
  }
  while (!waiting.empty()) {
    const int index = waiting.back();
    waiting.pop_back();
    for (const int operand : at(index).operands) use(operand);
  }
}

/// Whether `inner` may become a part of `outer`: nothing else needs it, and it is not made less often.
bool Compiler::fusable(int inner, const Step& outer) const {
  const Step& step = steps_[static_cast<std::size_t>(inner)];
  return !step.given && step.uses == 1 && step.along == outer.along && inner != scores_ && inner != second_;
}

void Compiler::fuse() {
  for (std::size_t i = steps_.size(); i-- > 0;) {
    Step& step = steps_[i];
    if (step.uses == 0) continue;
    const auto is = [&](std::size_t operand, RowOperation operation) {
      return at(step.operands[operand]).operation == operation && fusable(step.operands[operand], step);
    };
    const auto inner = [&](std::size_t operand) { return at(step.operands[operand]).operands; };
    const auto become = [&](RowOperation operation, std::vector<int> operands, std::size_t replaced) {
      at(step.operands[replaced]).uses = 0;
      step.operation = operation;
      step.operands = std::move(operands);
    };
    if (step.operation == RowOperation::absolute && is(0, RowOperation::subtract)) {
      become(RowOperation::distance, inner(0), 0);
    } else if (step.operation == RowOperation::add && is(0, RowOperation::multiply)) {
      become(RowOperation::multiply_add, {inner(0)[0], inner(0)[1], step.operands[1]}, 0);
    } else if (step.operation == RowOperation::add && is(1, RowOperation::multiply)) {
      become(RowOperation::multiply_add, {inner(1)[0], inner(1)[1], step.operands[0]}, 1);
    } else if (step.operation == RowOperation::subtract && is(1, RowOperation::multiply)) {
      become(RowOperation::subtract_product, {inner(1)[0], inner(1)[1], step.operands[0]}, 1);
    } else if (step.operation == RowOperation::subtract && is(0, RowOperation::multiply)) {
      become(RowOperation::multiply_subtract, {inner(0)[0], inner(0)[1], step.operands[1]}, 0);
    }
  }
  fuse_tanh();
  fuse_distances();
}

/// Soft caps: c · tanh(b · a).
void Compiler::fuse_tanh() {
  const int one = constant(1.0f);
  const auto scaled = [&](Step& step, int of_tanh, int outer) {
    int x = at(of_tanh).operands[0], inner = one;
    const std::vector<int> factors = at(x).operands;
    if (at(x).operation == RowOperation::multiply && fusable(x, step) && (of_row(factors[0]) || of_row(factors[1]))) {
      at(x).uses = 0;
      const bool first = of_row(factors[0]);
      inner = factors[first ? 0 : 1];
      x = factors[first ? 1 : 0];
    }
    if (inner == one && outer == one) return;
    step.operation = RowOperation::scaled_tanh;
    step.operands = {x, inner, outer};
  };
  for (Step& step : steps_) {
    if (step.uses == 0 || step.along != Along::both || step.operation != RowOperation::multiply) continue;
    for (const std::size_t which : {std::size_t{0}, std::size_t{1}}) {
      const int inner = step.operands[which], outer = step.operands[1 - which];
      if (at(inner).operation != RowOperation::tanh || !fusable(inner, step) || !of_row(outer)) continue;
      at(inner).uses = 0;
      scaled(step, inner, outer);
      break;
    }
  }
  for (std::size_t i = 0; i < steps_.size(); ++i)
    if (steps_[i].uses > 0 && steps_[i].along == Along::both && steps_[i].operation == RowOperation::tanh)
      scaled(steps_[i], static_cast<int>(i), one);
}

/// d − c · |a − b| of lanes and a row.
void Compiler::fuse_distances() {
  const auto along = [&](int index) { return at(index).along; };
  for (Step& step : steps_) {
    if (step.uses == 0 || step.operation != RowOperation::subtract_product || step.along != Along::both ||
        along(step.operands[2]) != Along::both)
      continue;
    for (const std::size_t which : {std::size_t{0}, std::size_t{1}}) {
      const int distance = step.operands[which], factor = step.operands[1 - which];
      if (at(distance).operation != RowOperation::distance || !fusable(distance, step) || !of_row(factor)) continue;
      int a = at(distance).operands[0], b = at(distance).operands[1];
      if (along(b) == Along::lanes) std::swap(a, b);
      if (along(a) != Along::lanes || !of_row(b)) continue;
      at(distance).uses = 0;
      step.operation = RowOperation::subtract_distance;
      step.operands = {a, b, factor, step.operands[2]};
      break;
    }
  }
}

namespace {

/// Places of equal size, given again when they are free.
struct Places {
  int size = 0, count = 0;
  std::vector<int> free;
  int take() {
    if (free.empty()) return count++;
    const int place = free.back();
    free.pop_back();
    return place;
  }
};

}  // namespace

void Compiler::place_values(const std::vector<int>& order, CodeMemory& memory) {
  constexpr int room = 16;  // floats of the widest vector
  Places places[] = {{room, 0, {}}, {strip_rows, 0, {}}, {strip_columns, 0, {}}, {chunk_floats, 0, {}}};
  std::vector<int> last_use(steps_.size(), -1), place(steps_.size(), -1);
  constexpr int behind_all = 1 << 30;
  for (std::size_t i = 0; i < order.size(); ++i)
    for (const int operand : at(order[i]).operands) {
      // What another stage reads is read again for each chunk of rows: it stays.
      int& last = last_use[static_cast<std::size_t>(operand)];
      last = at(operand).along == at(order[i]).along ? std::max(last, static_cast<int>(i)) : behind_all;
    }
  for (const Gradient& gradient : gradients_) {
    last_use[static_cast<std::size_t>(gradient.value)] = behind_all;
    for (const Step& step : steps_)
      if (step.lookup == gradient.lookup)
        for (const int operand : step.operands) last_use[static_cast<std::size_t>(operand)] = behind_all;
  }
  for (std::size_t i = 0; i < order.size(); ++i) {
    Step& step = at(order[i]);
    Places& own = places[static_cast<int>(step.along)];
    // Instructions go element by element, but lookups may read an operand after they have written.
    const auto release = [&] {
      std::vector<int> operands = step.operands;
      std::sort(operands.begin(), operands.end());
      operands.erase(std::unique(operands.begin(), operands.end()), operands.end());
      for (const int operand : operands)
        if (last_use[static_cast<std::size_t>(operand)] == static_cast<int>(i) &&
            place[static_cast<std::size_t>(operand)] >= 0)
          places[static_cast<int>(at(operand).along)].free.push_back(place[static_cast<std::size_t>(operand)]);
    };
    const bool early = step.operation != RowOperation::lookup;
    if (early) release();
    if (step.place.memory == RowMemory::scratch) place[static_cast<std::size_t>(order[i])] = own.take();
    if (!early) release();
  }
  int base[4], total = 0;
  for (int kind = 0; kind < 4; ++kind) {
    base[kind] = total;
    total += places[kind].size * places[kind].count;
  }
  memory.scratch = total;
  memory.keeps_pairs = places[3].count > 0;
  for (const int index : order) {
    Step& step = at(index);
    const int kind = static_cast<int>(step.along);
    step.place.along = step.along;
    if (step.place.memory == RowMemory::scratch)
      step.place.offset = base[kind] + places[kind].size * place[static_cast<std::size_t>(index)];
  }
}

namespace {
/// Operands of a lookup before its indices: a forbidding one has its bound.
std::size_t before_indices(RowOperation operation) { return operation == RowOperation::forbid_unless_more ? 1 : 0; }
}  // namespace

CodeMemory Compiler::finish() {
  count_uses();
  fuse();
  count_uses();
  // Results that lie in scratch elsewhere are copied; one that nothing else reads is made in place, last of all.
  const auto in_place = [&](int index) { return index >= 0 && !at(index).given && at(index).along == Along::both; };
  if (in_place(second_)) at(second_).place.memory = RowMemory::second;
  const bool scores_last = in_place(scores_) && at(scores_).uses == 1 && scores_ != second_;
  if (scores_last) at(scores_).place.memory = RowMemory::scores;

  std::vector<int> order;
  for (int kind = 0; kind < 4; ++kind)
    for (std::size_t i = 0; i < steps_.size(); ++i)
      if (steps_[i].uses > 0 && !steps_[i].given && static_cast<int>(steps_[i].along) == kind &&
          steps_[i].place.memory != RowMemory::scores)
        order.push_back(static_cast<int>(i));
  const auto copied = [&](int from, RowMemory memory) {
    Step copy;
    copy.operands = {from};
    copy.along = Along::both;
    copy.place.memory = memory;
    copy.uses = 1;
    steps_.push_back(std::move(copy));
    order.push_back(static_cast<int>(steps_.size()) - 1);
  };
  if (second_ >= 0 && !in_place(second_)) copied(second_, RowMemory::second);
  if (scores_last) order.push_back(scores_);
  for (const int forbid : forbids_)
    if (std::find(order.begin(), order.end(), forbid) == order.end()) order.push_back(forbid);
  const bool stays = scores_ >= 0 && at(scores_).given && at(scores_).place.memory == RowMemory::scores;
  if (scores_ >= 0 && !scores_last && !stays) copied(scores_, RowMemory::scores);

  CodeMemory memory = std::move(memory_);
  for (Step& step : steps_)
    if (step.given && step.place.memory == RowMemory::constants) {
      step.place.offset = static_cast<std::int32_t>(memory.constants.size());
      memory.constants.push_back(step.constant);
    }
  memory.constants.resize(memory.constants.size() + 16, 0.0f);  // they may be read as whole vectors
  place_values(order, memory);
  for (const int index : order) {
    const Step& step = at(index);
    RowInstruction instruction{};
    instruction.operation = step.operation;
    instruction.result = step.place;
    instruction.number = static_cast<std::int16_t>(step.lookup >= 0 ? step.lookup : step.call);
    const std::size_t operands = step.lookup < 0 ? step.operands.size() : before_indices(step.operation);
    instruction.operands = static_cast<std::uint8_t>(operands);
    for (std::size_t i = 0; i < operands; ++i) instruction.operand[i] = at(step.operands[i]).place;
    memory.instructions.push_back(instruction);
    for (int kind = static_cast<int>(step.along); kind < 4; ++kind)
      memory.ends[kind] = static_cast<int>(memory.instructions.size());
  }
  for (const Step& step : steps_)
    if (step.lookup >= 0)
      for (std::size_t i = before_indices(step.operation); i < step.operands.size(); ++i)
        memory.lookups[static_cast<std::size_t>(step.lookup)].index[i - before_indices(step.operation)] =
            at(step.operands[i]).place;
  for (const Gradient& gradient : gradients_)
    memory.gradients.push_back({at(gradient.value).place, gradient.lookup, gradient.number});
  return memory;
}

}  // namespace heed::attention
