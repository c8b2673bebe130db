#include "attention/cpu/rules.h"

#include "attention/cpu/lookups.h"

// The evaluator of rules: each instruction goes over a chunk of rows whose values fit in the first-level cache, so that
// the interpreter's own work is small against the arithmetic.
namespace heed::HEED_ISA {

namespace {

using namespace rules;

using attention::Program;
using attention::RowOperation;

static_assert(attention::chunk_floats >= attention::strip_columns);

/// With 0, infinity and what is negative or no number.
HEED_INLINE F whole_log(F x) {
  const F infinite = set1(__builtin_inff());
  const F small = set1(1.17549435e-38f);  // subnormal numbers are taken for the smallest normal one
  const F usual = select(x == infinite, x, log(max(small, x)));
  return select(x > zero(), usual, select(x == zero(), -infinite, set1(__builtin_nanf(""))));
}

/// Within what vector.h's exp is for, and infinity above.
HEED_INLINE F whole_exp(F x) { return select(x > set1(88.722f), set1(__builtin_inff()), exp(x)); }

template <bool vector>
struct Row {
  const float* data;
  F value;
  HEED_INLINE explicit Row(const float* from) : data(from), value(vector ? zero() : broadcast(from)) {}
  HEED_INLINE F at(int i) const { return vector ? load(data + i) : value; }
};

/// One instruction on one domain.
struct Pass {
  const Domain& domain;
  float* to;
  std::int64_t step;
  Source source[4];

  Pass(const Work& work, const RowInstruction& instruction, const Domain& on)
      : domain(on), to(work.memory(instruction.result, on)), step(work.row_step(instruction.result)) {
    for (int i = 0; i < instruction.operands; ++i) source[i] = Source(work, instruction.operand[i], on);
  }

  template <bool A, class Operation>
  void one(Operation operation) const {
    for (int r = 0; r < domain.rows; ++r) {
      const Row<A> a(source[0].data + r * source[0].step);
      float* const row = to + r * step;
      for (int i = 0; i < domain.lanes_used; i += lanes) store(row + i, operation(a.at(i)));
    }
  }
  template <bool A, bool B, class Operation>
  void two(Operation operation) const {
    for (int r = 0; r < domain.rows; ++r) {
      const Row<A> a(source[0].data + r * source[0].step);
      const Row<B> b(source[1].data + r * source[1].step);
      float* const row = to + r * step;
      for (int i = 0; i < domain.lanes_used; i += lanes) store(row + i, operation(a.at(i), b.at(i)));
    }
  }
  template <bool A, bool B, bool C, class Operation>
  void three(Operation operation) const {
    for (int r = 0; r < domain.rows; ++r) {
      const Row<A> a(source[0].data + r * source[0].step);
      const Row<B> b(source[1].data + r * source[1].step);
      const Row<C> c(source[2].data + r * source[2].step);
      float* const row = to + r * step;
      for (int i = 0; i < domain.lanes_used; i += lanes) store(row + i, operation(a.at(i), b.at(i), c.at(i)));
    }
  }

  template <class Operation>
  void unary(Operation operation) const {
    source[0].vector ? one<true>(operation) : one<false>(operation);
  }
  // Where no operand varies, the domain is a single vector, and operands have room for one.
  template <class Operation>
  void binary(Operation operation) const {
    if (source[0].vector == source[1].vector) return two<true, true>(operation);
    source[0].vector ? two<true, false>(operation) : two<false, true>(operation);
  }
  template <class Operation>
  void ternary(Operation operation) const {
    const bool a = source[0].vector, b = source[1].vector, c = source[2].vector;
    if (a == b && b == c) return three<true, true, true>(operation);
    if (a && b) return three<true, true, false>(operation);
    if (a && c) return three<true, false, true>(operation);
    if (b && c) return three<false, true, true>(operation);
    if (a) return three<true, false, false>(operation);
    b ? three<false, true, false>(operation) : three<false, false, true>(operation);
  }

  /// Scores, which the result is, stay where compare(a, b) holds.
  template <class Compare>
  void forbidding(Compare compare) const {
    if (source[0].vector == source[1].vector) return forbidding<true, true>(compare);
    source[0].vector ? forbidding<true, false>(compare) : forbidding<false, true>(compare);
  }
  template <bool A, bool B, class Compare>
  void forbidding(Compare compare) const {
    const F none = set1(-__builtin_inff());
    for (int r = 0; r < domain.rows; ++r) {
      const Row<A> a(source[0].data + r * source[0].step);
      const Row<B> b(source[1].data + r * source[1].step);
      float* const row = to + r * step;
      for (int i = 0; i < domain.lanes_used; i += lanes)
        store(row + i, select(compare(a.at(i), b.at(i)), load(row + i), none));
    }
  }

  /// source[2] · tanh(source[1] · source[0]), where only the first varies along lanes.
  void scaled_tanh() const {
    for (int r = 0; r < domain.rows; ++r) {
      const Row<true> x(source[0].data + r * source[0].step);
      const Row<false> inner(source[1].data + r * source[1].step), outer(source[2].data + r * source[2].step);
      float* const row = to + r * step;
      for (int i = 0; i < domain.lanes_used; i += lanes) store(row + i, outer.value * tanh(inner.value * x.at(i)));
    }
  }

  /// source[3] − source[2] · |source[0] − source[1]| of lanes, row, row and both.
  void subtract_distance() const {
    for (int r = 0; r < domain.rows; ++r) {
      const Row<true> a(source[0].data);
      const Row<false> b(source[1].data + r * source[1].step), c(source[2].data + r * source[2].step);
      const Row<true> d(source[3].data + r * source[3].step);
      const F factor = -c.value;
      float* const row = to + r * step;
      for (int i = 0; i < domain.lanes_used; i += lanes)
        store(row + i, fma(factor, absolute(a.at(i) - b.value), d.at(i)));
    }
  }
};

/// Scores stay where the condition, source[0], holds.
void forbid(const Pass& pass, Along along) {
  const Domain& domain = pass.domain;
  const Source& condition = pass.source[0];
  const F none = set1(-__builtin_inff());
  if (along == Along::lanes) {
    I all = ~I{};
    for (int i = 0; i < domain.lanes_used; i += lanes) all &= as_int(load(condition.data + i));
    std::int32_t every = -1;
    for (int i = 0; i < lanes; ++i) every &= all[i];
    if (every == -1) return;
  }
  for (int r = 0; r < domain.rows; ++r) {
    const float* const from = condition.data + r * condition.step;
    float* const row = pass.to + r * pass.step;
    if (!condition.vector) {
      if (as_int(broadcast(from))[0] != 0) continue;
      for (int i = 0; i < domain.lanes_used; i += lanes) store(row + i, none);
    } else {
      for (int i = 0; i < domain.lanes_used; i += lanes)
        store(row + i, select(as_int(load(from + i)), load(row + i), none));
    }
  }
}

void call(const Work& work, const RowInstruction& instruction, const Domain& domain) {
  const attention::RowCall& function = work.code.calls[instruction.number];
  const Strip& strip = work.strip;
  float* const to = work.memory(instruction.result, domain);
  const std::int64_t step = work.row_step(instruction.result);
  for (int r = 0; r < domain.rows; ++r)
    for (int i = 0; i < domain.lanes_used; ++i) {
      const std::int64_t row = strip.row + domain.first + r, lane = strip.lane + i;
      const bool holds =
          i < strip.columns && function.invoke(function.function, strip.batch, strip.head,
                                               strip.lanes_are_keys ? row : lane, strip.lanes_are_keys ? lane : row);
      const std::int32_t bits = holds ? -1 : 0;
      __builtin_memcpy(to + r * step + i, &bits, sizeof bits);
    }
}

void positions(const Work& work, const RowInstruction& instruction, const Domain& domain) {
  const std::int64_t first = domain.stage == Along::rows ? work.strip.row : work.strip.lane;
  float* const to = work.memory(instruction.result, domain);
  for (int i = 0; i < domain.lanes_used; i += lanes)
    store(to + i, __builtin_convertvector((I)iota() + set1_int(static_cast<std::int32_t>(first + i)), F));
}

#define HEED_OPERATION __attribute__((always_inline))

void execute(const Work& work, const RowInstruction& instruction, const Domain& domain) {
  const Pass pass(work, instruction, domain);
  switch (instruction.operation) {
    case RowOperation::batch:
      return store(pass.to, set1(static_cast<float>(work.strip.batch)));
    case RowOperation::head:
      return store(pass.to, set1(static_cast<float>(work.strip.head)));
    case RowOperation::position:
      return positions(work, instruction, domain);
    case RowOperation::lookup:
      return look_up(work, instruction, domain);
    case RowOperation::call:
      return call(work, instruction, domain);
    case RowOperation::copy:
      return pass.unary([](F a) HEED_OPERATION { return a; });
    case RowOperation::negate:
      return pass.unary([](F a) HEED_OPERATION { return -a; });
    case RowOperation::absolute:
      return pass.unary([](F a) HEED_OPERATION { return absolute(a); });
    case RowOperation::exp:
      return pass.unary([](F a) HEED_OPERATION { return whole_exp(a); });
    case RowOperation::log:
      return pass.unary([](F a) HEED_OPERATION { return whole_log(a); });
    case RowOperation::sqrt:
      return pass.unary([](F a) HEED_OPERATION { return sqrt(a); });
    case RowOperation::tanh:
      return pass.unary([](F a) HEED_OPERATION { return tanh(a); });
    case RowOperation::floor:
      return pass.unary([](F a) HEED_OPERATION { return floor(a); });
    case RowOperation::negation:
      return pass.unary([](F a) HEED_OPERATION { return as_float(~as_int(a)); });
    case RowOperation::add:
      return pass.binary([](F a, F b) HEED_OPERATION { return a + b; });
    case RowOperation::subtract:
      return pass.binary([](F a, F b) HEED_OPERATION { return a - b; });
    case RowOperation::multiply:
      return pass.binary([](F a, F b) HEED_OPERATION { return a * b; });
    case RowOperation::divide:
      return pass.binary([](F a, F b) HEED_OPERATION { return a / b; });
    case RowOperation::minimum:
      return pass.binary([](F a, F b) HEED_OPERATION { return min(a, b); });
    case RowOperation::maximum:
      return pass.binary([](F a, F b) HEED_OPERATION { return max(a, b); });
    case RowOperation::less:
      return pass.binary([](F a, F b) HEED_OPERATION { return as_float((I)(a < b)); });
    case RowOperation::less_equal:
      return pass.binary([](F a, F b) HEED_OPERATION { return as_float((I)(a <= b)); });
    case RowOperation::equal:
      return pass.binary([](F a, F b) HEED_OPERATION { return as_float((I)(a == b)); });
    case RowOperation::not_equal:
      return pass.binary([](F a, F b) HEED_OPERATION { return as_float((I)(a != b)); });
    case RowOperation::both:
      return pass.binary([](F a, F b) HEED_OPERATION { return as_float(as_int(a) & as_int(b)); });
    case RowOperation::either:
      return pass.binary([](F a, F b) HEED_OPERATION { return as_float(as_int(a) | as_int(b)); });
    case RowOperation::distance:
      return pass.binary([](F a, F b) HEED_OPERATION { return absolute(a - b); });
    case RowOperation::weigh:
      return pass.binary([](F a, F b) HEED_OPERATION { return select(a == zero(), zero(), a * b); });
    case RowOperation::multiply_add:
      return pass.ternary([](F a, F b, F c) HEED_OPERATION { return fma(a, b, c); });
    case RowOperation::multiply_subtract:
      return pass.ternary([](F a, F b, F c) HEED_OPERATION { return fma(a, b, -c); });
    case RowOperation::subtract_product:
      return pass.ternary([](F a, F b, F c) HEED_OPERATION { return fma(-a, b, c); });
    case RowOperation::choose:
      return pass.ternary([](F a, F b, F c) HEED_OPERATION { return select(as_int(a), b, c); });
    case RowOperation::subtract_distance:
      return pass.subtract_distance();
    case RowOperation::scaled_tanh:
      return pass.scaled_tanh();
    case RowOperation::forbid:
      return forbid(pass, instruction.operand[0].along);
    case RowOperation::forbid_unless_less:
      return pass.forbidding([](F a, F b) HEED_OPERATION { return (I)(a < b); });
    case RowOperation::forbid_unless_less_equal:
      return pass.forbidding([](F a, F b) HEED_OPERATION { return (I)(a <= b); });
    case RowOperation::forbid_unless_equal:
      return pass.forbidding([](F a, F b) HEED_OPERATION { return (I)(a == b); });
    case RowOperation::forbid_unless_not_equal:
      return pass.forbidding([](F a, F b) HEED_OPERATION { return (I)(a != b); });
    case RowOperation::forbid_unless_more:
      return forbid_unless_more(work, instruction, domain);
  }
}

#undef HEED_OPERATION

void run_piece(const Work& work, float* const* gradients) {
  const Strip& strip = work.strip;
  const int whole = (strip.columns + lanes - 1) / lanes * lanes;
  const RowCode& code = work.code;
  const Domain stages[] = {{Along::nothing, 0, 1, lanes},
                           {Along::rows, 0, 1, (strip.rows + lanes - 1) / lanes * lanes},
                           {Along::lanes, 0, 1, whole}};
  int next = 0;
  for (int stage = 0; stage < 2; ++stage)
    for (; next < code.ends[stage]; ++next) execute(work, code.instructions[next], stages[stage]);
  attention::StripMemory* const memory = strip.memory;
  if (memory && memory->code == &code && memory->lane == strip.lane && memory->columns == whole) next = code.ends[2];
  for (; next < code.ends[2]; ++next) execute(work, code.instructions[next], stages[2]);
  if (memory) {
    memory->code = &code;
    memory->lane = strip.lane;
    memory->columns = whole;
  }
  // Code that keeps nothing for each pair goes over all rows at once.
  const int most = code.keeps_pairs ? attention::chunk_floats / whole : attention::strip_rows;
  for (int first = 0; first < strip.rows; first += most) {
    const Domain chunk{Along::both, first, strip.rows - first < most ? strip.rows - first : most, whole};
    for (int i = next; i < code.ends[3]; ++i) execute(work, code.instructions[i], chunk);
    for (int i = 0; i < code.gradient_count && gradients; ++i)
      if (float* const gradient = gradients[code.gradients[i].number])
        add_gradient(work, code.gradients[i], chunk, gradient);
  }
}

/// Strips larger than a piece are cut.
void run(const RowCode& code, const Strip& strip, float* scores, float* second, float* const* gradients) {
  if (code.ends[3] == 0) return;
  for (int row = 0; row < strip.rows; row += attention::strip_rows)
    for (int column = 0; column < strip.columns; column += attention::strip_columns) {
      Strip piece = strip;
      piece.row += row;
      piece.lane += column;
      piece.rows = strip.rows - row < attention::strip_rows ? strip.rows - row : attention::strip_rows;
      piece.columns =
          strip.columns - column < attention::strip_columns ? strip.columns - column : attention::strip_columns;
      const std::int64_t at = row * strip.stride + column;
      const int whole = (piece.columns + lanes - 1) / lanes * lanes;
      run_piece({code, piece, scores + at, second ? second + at : nullptr, whole}, gradients);
    }
}

void score(const Program& program, const Strip& strip, float* scores, float* derivative) {
  const RowCode& code = derivative ? program.differentiated[strip.lanes_are_keys] : program.score[strip.lanes_are_keys];
  run(code, strip, scores, derivative, nullptr);
}

void mask(const Program& program, const Strip& strip, float* scores) {
  run(program.mask[strip.lanes_are_keys], strip, scores, nullptr, nullptr);
}

void parameters(const Program& program, const Strip& strip, const float* scores, const float* dscores,
                float* const* gradients) {
  // Neither is written: the code's results lie in scratch.
  run(program.parameters[strip.lanes_are_keys], strip, const_cast<float*>(scores), const_cast<float*>(dscores),
      gradients);
}

}  // namespace

extern const attention::RuleKernels rule_kernels;
const attention::RuleKernels rule_kernels = {score, mask, parameters};

}  // namespace heed::HEED_ISA
