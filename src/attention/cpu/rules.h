#pragma once
#include <heed/dtype.h>

#include <cstdint>

// Rules of scores and masks as kernels see them: short lists of instructions over whole rows, plain data and pointers.
// attention/program.h makes them and owns what they point to.
namespace heed::attention {

/// What a value varies along. A strip's rows are queries and its lanes keys, or the other way round.
enum class Along : unsigned char { nothing, rows, lanes, both };

/// Conditions are lanes of all zeros or all ones.
enum class RowOperation : unsigned char {
  batch,
  head,
  position,  ///< of the row or the lane, by what the result varies along
  lookup,
  call,  ///< a plain function, pair by pair
  copy,
  negate,
  absolute,
  exp,
  log,
  sqrt,
  tanh,
  floor,
  add,
  subtract,
  multiply,
  divide,
  minimum,
  maximum,
  less,
  less_equal,
  equal,
  not_equal,
  both,
  either,
  negation,
  distance,           ///< |a − b|
  weigh,              ///< a · b, and 0 where a is 0 whatever b is
  multiply_add,       ///< a · b + c
  multiply_subtract,  ///< a · b − c
  subtract_product,   ///< c − a · b
  subtract_distance,  ///< d − c · |a − b|
  scaled_tanh,        ///< c · tanh(b · a) for each pair, where b and c are of the row
  choose,             ///< a ? b : c
  // Of masks: scores become −infinity unless …
  forbid,                    ///< a holds
  forbid_unless_less,        ///< a < b
  forbid_unless_less_equal,  ///< a ≤ b
  forbid_unless_equal,
  forbid_unless_not_equal,
  forbid_unless_more,  ///< the looked-up byte > a
};

/// Where a value lies: in the strip's scratch, among the program's constants, or in what the caller gave.
enum class RowMemory : unsigned char { scratch, constants, scores, second };

struct RowValue {
  RowMemory memory = RowMemory::scratch;
  Along along = Along::nothing;
  std::int32_t offset = 0;  ///< in floats, in scratch and constants
};

struct RowInstruction {
  RowOperation operation;
  std::uint8_t operands = 0;
  std::int16_t number = 0;  ///< of the lookup or call
  RowValue result;
  RowValue operand[4];
};

/// An element of a tensor, each index rounded down and held to its extent.
struct RowLookup {
  const void* data;
  DType type;  ///< float32, int32, uint8 or boolean
  int rank;
  std::int64_t extent[4], stride[4];
  RowValue index[4];
  /// Along this dimension the index is the lane's position plus index[line]; −1: no such dimension.
  int line;
};

struct RowCall {
  const void* function;
  bool (*invoke)(const void* function, int batch, int head, std::int64_t query, std::int64_t key);
};

/// Where a weighed derivative goes: added to element `lookup` of the gradient of parameter `number`.
struct RowGradient {
  RowValue value;
  int lookup, number;
};

/// Instructions in the order of what their results vary along: nothing, rows, lanes, both.
struct RowCode {
  const RowInstruction* instructions = nullptr;
  int ends[4] = {0, 0, 0, 0};  ///< behind the last instruction of each kind
  const float* constants = nullptr;
  const RowLookup* lookups = nullptr;
  const RowCall* calls = nullptr;
  const RowGradient* gradients = nullptr;
  int gradient_count = 0;
  bool keeps_pairs = false;  ///< some value in scratch varies along both
};

/// Of one spec. Each comes in two forms, [lanes_are_keys].
struct Program {
  RowCode score[2];           ///< scores ← rule(scores)
  RowCode differentiated[2];  ///< and second ← d rule / d score
  RowCode parameters[2];      ///< from scores before the rule and, in `second`, the gradient of those behind it
  RowCode mask[2];            ///< scores ← −∞ where not allowed
  bool has_rule = false, has_mask = false;
  bool derivative_is_one = false;  ///< the rule only adds: no derivative is needed
  bool has_parameters = false;
  std::int64_t scratch = 0;  ///< floats that any of them needs
};

inline constexpr int strip_rows = 16;      ///< rows that are worked on at once: more are cut
inline constexpr int strip_columns = 768;  ///< and columns
inline constexpr int chunk_floats = 1536;  ///< of one value that varies along both: what is worked on at once

/// What strips of one head leave for those that follow. Where they are of the same lanes, so is what varies along lanes
/// alone. And bytes of a table that strips read across its rows are turned for more rows than a strip has, since each
/// line of the cache that is touched for them holds those of the next strips, too.
struct StripMemory {
  const RowCode* code = nullptr;  ///< whose values along lanes are in scratch
  std::int64_t lane = 0;
  int columns = 0;

  static constexpr int most = 48;       ///< whole groups, and whole tiles
  const RowLookup* turned = nullptr;    ///< another lookup of the same strips goes without
  const std::uint8_t* first = nullptr;  ///< element of row 0 and lane 0; row r, lane i is first[r + i * step]
  std::int64_t step = 0;
  int turned_rows = 0, turned_columns = 0;
  alignas(64) std::uint8_t row[most][strip_columns];
};

/// A piece of a head's scores: rows × columns, the row `stride` floats apart. Rows are read and written up to whole
/// vectors of 16 floats at most: the stride is at least the columns rounded up to the kernel's vectors.
struct Strip {
  int batch = 0, head = 0;
  std::int64_t row = 0, lane = 0;  ///< positions of the first row and of the first lane
  bool lanes_are_keys = false;     ///< then rows are queries; else the other way round
  int rows = 0, columns = 0;
  std::int64_t stride = 0;
  float* scratch = nullptr;       ///< Program::scratch floats
  StripMemory* memory = nullptr;  ///< or null
};

struct RuleKernels {
  /// Natural units, in place. `derivative` (or null) is laid out as the scores and receives d rule / d score.
  void (*score)(const Program& program, const Strip& strip, float* scores, float* derivative);
  void (*mask)(const Program& program, const Strip& strip, float* scores);
  /// Adds the gradients of Parameters, by their number (null: not wanted), from scores before the rule and gradients of
  /// those behind it. Pairs whose gradient is 0 add nothing whatever their score is.
  void (*parameters)(const Program& program, const Strip& strip, const float* scores, const float* dscores,
                     float* const* gradients);
};

}  // namespace heed::attention
