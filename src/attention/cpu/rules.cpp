#include "attention/cpu/rules.h"

#include "simd/vector.h"

// The evaluator of rules: each instruction goes over a chunk of rows whose values fit in the first-level cache, so that
// the interpreter's own work is small against the arithmetic.
namespace heed::HEED_ISA {

namespace {

using attention::Along;
using attention::Program;
using attention::RowCode;
using attention::RowGradient;
using attention::RowInstruction;
using attention::RowLookup;
using attention::RowMemory;
using attention::RowOperation;
using attention::RowValue;
using attention::Strip;

static_assert(attention::chunk_floats >= attention::strip_columns);

/// Of any bits, those of conditions included: no arithmetic.
HEED_INLINE F broadcast(const float* from) {
  std::int32_t bits;
  __builtin_memcpy(&bits, from, sizeof bits);
  return as_float(set1_int(bits));
}

HEED_INLINE F floor(F x) {
#if defined(HEED_AVX512)
  return (F)_mm512_roundscale_ps((__m512)x, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
#elif defined(HEED_AVX2)
  return (F)_mm256_floor_ps((__m256)x);
#else
  const F whole = __builtin_convertvector(__builtin_convertvector(x, I), F);  // towards zero
  const F lower = select(whole > x, whole - set1(1.0f), whole);
  return select(absolute(x) < set1(8388608.0f), lower, x);  // larger ones are whole
#endif
}

/// With 0, infinity and what is negative or no number.
HEED_INLINE F whole_log(F x) {
  const F infinite = set1(__builtin_inff());
  const F small = set1(1.17549435e-38f);  // subnormal numbers are taken for the smallest normal one
  const F usual = select(x == infinite, x, log(max(small, x)));
  return select(x > zero(), usual, select(x == zero(), -infinite, set1(__builtin_nanf(""))));
}

/// Within what vector.h's exp is for, and infinity above.
HEED_INLINE F whole_exp(F x) { return select(x > set1(88.722f), set1(__builtin_inff()), exp(x)); }

/// The rows and lanes that an instruction goes over.
struct Domain {
  Along stage;
  int first;  ///< row of the strip
  int rows, lanes_used;
};

/// A strip's code at work.
struct Work {
  const RowCode& code;
  const Strip& strip;
  float* scores;
  float* second;
  std::int64_t chunk_stride;

  float* memory(const RowValue& value, const Domain& domain) const {
    const std::int64_t first = domain.stage == Along::both ? domain.first : 0;
    switch (value.memory) {
      case RowMemory::scores:
        return scores + first * strip.stride;
      case RowMemory::second:
        return second + first * strip.stride;
      case RowMemory::constants:
        return const_cast<float*>(code.constants) + value.offset;
      default:
        return strip.scratch + value.offset + (value.along == Along::rows ? first : 0);
    }
  }
  std::int64_t row_step(const RowValue& value) const {
    if (value.along == Along::rows) return 1;
    if (value.along != Along::both) return 0;
    return value.memory == RowMemory::scratch ? chunk_stride : strip.stride;
  }
};

/// Where an operand's row begins, and whether its lanes differ.
struct Source {
  const float* data = nullptr;
  std::int64_t step = 0;
  bool vector = true;

  Source() = default;
  Source(const Work& work, const RowValue& value, const Domain& domain)
      : data(work.memory(value, domain)), step(domain.stage == Along::both ? work.row_step(value) : 0) {
    if (domain.stage == Along::both)
      vector = value.along == Along::lanes || value.along == Along::both;
    else
      vector = value.along == domain.stage;
  }
};

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

/// An index as a lookup takes it: rounded down, held to [0, extent), 0 for NaN.
HEED_INLINE F held(F index, std::int64_t extent) {
  return min(max(floor(index), zero()), set1(static_cast<float>(extent - 1)));  // in this order for NaN
}
HEED_INLINE std::int64_t held(float index, std::int64_t extent) {
  if (!(index >= 1.0f)) return 0;
  return index >= static_cast<float>(extent) ? extent - 1 : static_cast<std::int64_t>(index);
}

/// Where the elements of one row of a lookup lie.
struct Elements {
  std::int64_t base = 0;  ///< of the dimensions that do not vary along the row
  const float* index[4];  ///< of those that do
  std::int64_t extent[4], stride[4];
  int varying = 0;
  std::int64_t start = 0;  ///< with a line: the index of lane 0 in it
  const RowLookup& lookup;

  Elements(const Work& work, const RowLookup& of, const Domain& domain, int row) : lookup(of) {
    for (int d = 0; d < lookup.rank; ++d) {
      const Source source(work, lookup.index[d], domain);
      const float* const at = source.data + row * source.step;
      if (d == lookup.line) {
        const float rest = *at < -1e9f ? -1e9f : *at > 1e9f ? 1e9f : *at;  // NaN is never more than a wrong place
        const auto whole = static_cast<std::int64_t>(rest == rest ? rest : 0.0f);
        start = work.strip.lane + whole - (static_cast<float>(whole) > rest ? 1 : 0);
      } else if (!source.vector) {
        base += held(*at, lookup.extent[d]) * lookup.stride[d];
      } else {
        index[varying] = at;
        extent[varying] = lookup.extent[d];
        stride[varying++] = lookup.stride[d];
      }
    }
  }

  HEED_INLINE I offsets(int lane) const {
    I sum{};
    for (int d = 0; d < varying; ++d)
      sum += __builtin_convertvector(held(load(index[d] + lane), extent[d]), I) * static_cast<std::int32_t>(stride[d]);
    return sum;
  }

  /// A line's lanes [0, low) have the first element, [high, count) the last.
  int low(int count) const { return start >= 0 ? 0 : -start < count ? static_cast<int>(-start) : count; }
  int high(int count) const {
    const std::int64_t left = lookup.extent[lookup.line] - start;
    return left <= 0 ? 0 : left < count ? static_cast<int>(left) : count;
  }
  std::int64_t step() const { return lookup.stride[lookup.line]; }
  std::int64_t last() const { return (lookup.extent[lookup.line] - 1) * step(); }
};

template <class T>
HEED_INLINE F load_as_floats(const T* from) {
  typedef T V __attribute__((vector_size(sizeof(T) * lanes)));
  V values;
  __builtin_memcpy(&values, from, sizeof(V));
  return __builtin_convertvector(values, F);
}

template <class T>
HEED_INLINE F gathered(const T* from, I offsets) {
#if defined(HEED_AVX512)
  if constexpr (sizeof(T) == 4) {
    const I bits = (I)_mm512_i32gather_epi32((__m512i)offsets, from, 4);
    if constexpr (static_cast<T>(0.5f) == 0) return __builtin_convertvector(bits, F);
    return as_float(bits);
  }
#elif defined(HEED_AVX2)
  if constexpr (sizeof(T) == 4) {
    const I bits = (I)_mm256_i32gather_epi32(reinterpret_cast<const int*>(from), (__m256i)offsets, 4);
    if constexpr (static_cast<T>(0.5f) == 0) return __builtin_convertvector(bits, F);
    return as_float(bits);
  }
#endif
  F result{};
  for (int i = 0; i < lanes; ++i) result[i] = static_cast<float>(from[offsets[i]]);
  return result;
}

template <class T>
void look_up(const Elements& elements, int count, float* to) {
  const T* const from = static_cast<const T*>(elements.lookup.data) + elements.base;
  if (elements.lookup.line >= 0) {
    const int low = elements.low(count), high = elements.high(count);
    const std::int64_t step = elements.step();
    const T* const line = from + elements.start * step;
    int i = 0;
    for (; i < low; ++i) to[i] = static_cast<float>(from[0]);
    if (step == 1)
      for (; i + lanes <= high; i += lanes) store(to + i, load_as_floats(line + i));
    for (; i < high; ++i) to[i] = static_cast<float>(line[i * step]);
    for (; i < count; ++i) to[i] = static_cast<float>(from[elements.last()]);
  } else if (elements.varying == 0) {
    for (int i = 0; i < count; i += lanes) store(to + i, set1(static_cast<float>(from[0])));
  } else {
    for (int i = 0; i < count; i += lanes) store(to + i, gathered(from, elements.offsets(i)));
  }
}

void look_up(const Work& work, const RowInstruction& instruction, const Domain& domain) {
  const RowLookup& lookup = work.code.lookups[instruction.number];
  float* const to = work.memory(instruction.result, domain);
  const std::int64_t step = work.row_step(instruction.result);
  for (int r = 0; r < domain.rows; ++r) {
    const Elements elements(work, lookup, domain, r);
    float* const row = to + r * step;
    if (lookup.type == DType::float32)
      look_up<float>(elements, domain.lanes_used, row);
    else if (lookup.type == DType::int32)
      look_up<std::int32_t>(elements, domain.lanes_used, row);
    else
      look_up<std::uint8_t>(elements, domain.lanes_used, row);
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
  }
}

#undef HEED_OPERATION

/// Sums of a parameter's elements over a chunk.
void add_gradient(const Work& work, const RowGradient& to, const Domain& domain, float* gradient) {
  const RowLookup& lookup = work.code.lookups[to.lookup];
  const Source value(work, to.value, domain);
  const int columns = work.strip.columns;
  for (int r = 0; r < domain.rows; ++r) {
    const Elements elements(work, lookup, domain, r);
    const float* const row = value.data + r * value.step;
    float* const from = gradient + elements.base;
    if (lookup.line >= 0) {
      const int low = elements.low(columns), high = elements.high(columns);
      const std::int64_t step = elements.step();
      float* const line = from + elements.start * step;
      int i = 0;
      for (; i < low; ++i) from[0] += row[i];
      if (step == 1)
        for (; i + lanes <= high; i += lanes) store(line + i, load(line + i) + load(row + i));
      for (; i < high; ++i) line[i * step] += row[i];
      for (; i < columns; ++i) from[elements.last()] += row[i];
    } else if (elements.varying == 0) {
      F sum = zero();
      int i = 0;
      for (; i + lanes <= columns; i += lanes) sum += load(row + i);
      if (i < columns) sum += load(row + i, columns - i);
      from[0] += reduce_add(sum);
    } else {
      for (int i = 0; i < columns; i += lanes) {
        const I offsets = elements.offsets(i);
        for (int lane = 0; lane < lanes && i + lane < columns; ++lane) from[offsets[lane]] += row[i + lane];
      }
    }
  }
}

void run_piece(const Work& work, float* const* gradients) {
  const Strip& strip = work.strip;
  const int whole = (strip.columns + lanes - 1) / lanes * lanes;
  const RowCode& code = work.code;
  const Domain stages[] = {{Along::nothing, 0, 1, lanes},
                           {Along::rows, 0, 1, (strip.rows + lanes - 1) / lanes * lanes},
                           {Along::lanes, 0, 1, whole}};
  int next = 0;
  for (int stage = 0; stage < 3; ++stage)
    for (; next < code.ends[stage]; ++next) execute(work, code.instructions[next], stages[stage]);
  const int most = attention::chunk_floats / whole;
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
