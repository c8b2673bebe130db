#pragma once
#include <heed/attention.h>

#include <cstdint>

#include "attention/cpu/bands.h"
#include "attention/cpu/rules.h"

// What a kernel is told: plain data and pointers. Kernels check nothing and allocate nothing.
namespace heed::attention {

inline constexpr int panel_width = 64;   ///< columns of a packed panel: four vectors of AVX-512
inline constexpr int group_rows = 6;     ///< rows that a register tile holds
inline constexpr int key_chunk = 768;    ///< most keys that are packed, scored and summed up together in the forward
inline constexpr int query_task = 960;   ///< most queries that one piece of the forward takes: whole groups
inline constexpr int query_block = 512;  ///< most queries that one piece of the backward takes
inline constexpr int whole_rows = 48;    ///< queries whose scores are kept whole
inline constexpr int key_block = 96;     ///< keys whose scores the backward keeps: whole groups, and pairs

/// One head of one sequence. Pointers to rows are at the sequence's first row and at the head's first column; strides
/// are in elements.
struct Head {
  int width = 0, value_width = 0;
  std::int64_t queries = 0, keys = 0;
  std::int64_t position = 0;  ///< of the first query
  const void* query = nullptr;
  DType query_type = DType::float32;
  std::int64_t query_stride = 0;
  const KeyValueSpan* spans = nullptr;
  int span_count = 0;
  DType key_type = DType::float32, value_type = DType::float32;
  std::int64_t key_stride = 0, value_stride = 0;
  std::int64_t key_column = 0, value_column = 0;  ///< where this head's columns begin in a span's rows
  int key_value_head = 0, key_value_heads = 1;    ///< which scales of a quantised span are this head's
  void* output = nullptr;
  DType output_type = DType::float32;
  std::int64_t output_stride = 0;
  float* log_sum_exp = nullptr;  ///< [queries] or null

  Normaliser normaliser = Normaliser::softmax;
  float sink = 0.0f;  ///< the logit of softmax_zero and softmax_sink
  float scale = 1.0f, soft_cap = 0.0f;
  /// Added to the scaled product, by query and by key, or null: what turns products into distances.
  const float* query_term = nullptr;
  const float* key_term = nullptr;
  const float* direction = nullptr;  ///< additive scores: [width]
  float kept = 1.0f;                 ///< 1 − dropout
  std::uint32_t drop_below = 0;      ///< a weight is dropped when its hash is below; 0 drops none
  std::uint32_t drop_key_low = 0, drop_key_high = 0;
  float slope = 0.0f;
  const float* relative = nullptr;  ///< [2·reach + 1] of this head, or null
  std::int64_t reach = 0;
  const float* bias = nullptr;  ///< of this sequence and head, or null
  std::int64_t bias_query_stride = 0, bias_key_stride = 0;
  const Bands* bands = nullptr;        ///< the mask as bands; null: the program's
  const Program* program = nullptr;    ///< of the rule, and of a mask that is not bands
  const RuleKernels* rules = nullptr;  ///< what evaluates it
  const Mask* mask = nullptr;          ///< asked for what a whole block sees, where it is not bands
  int (*cover)(const Head&, std::int64_t query, std::int64_t query_end, std::int64_t key,
               std::int64_t key_end) = nullptr;
  int batch = 0, number = 0;  ///< which sequence and head this is, for masks and rules
  float* scratch = nullptr;   ///< scratch_floats() floats, aligned to 64 bytes

  /// Whether pairs of elements may be multiplied as they are, where the processor does that.
  bool all_bfloat16() const {
    return !direction && query_type == DType::bfloat16 && key_type == DType::bfloat16 && value_type == DType::bfloat16;
  }
  bool has_rule() const { return program && program->has_rule; }
  std::int64_t rule_scratch() const { return program ? program->scratch : 0; }
  /// False when a score is the scaled product and nothing else (bands aside).
  bool adjusts() const {
    return soft_cap != 0.0f || query_term || key_term || slope != 0.0f || relative || bias || has_rule() ||
           scale <= 0.0f;
  }
};

/// What the backward needs beside the head; null gradients are not wanted. They are added to, but for
/// the query's.
struct HeadGradients {
  const float* doutput = nullptr;
  std::int64_t doutput_stride = 0;
  float* query = nullptr;
  std::int64_t query_stride = 0;
  float* key = nullptr;
  std::int64_t key_stride = 0;
  float* value = nullptr;
  std::int64_t value_stride = 0;
  float* direction = nullptr;   ///< additive scores: [width]
  float* query_term = nullptr;  ///< [queries]
  float* key_term = nullptr;    ///< [keys]
  float* slope = nullptr;       ///< one
  float* relative = nullptr;    ///< [2·reach + 1] of this head
  float* bias = nullptr;        ///< with the bias's strides
  float* const* parameters = nullptr;
  /// [queries], what softmax subtracts from the gradient of each weight; null: the sum of doutput · output.
  const float* product = nullptr;
  /// Pieces that write the same memory do so in turn: block by block of keys, this one behind the one before (null:
  /// none). The word holds how many blocks a piece has finished; `wait` passes the time.
  const std::int64_t* before = nullptr;
  std::int64_t* finished = nullptr;
  void (*wait)() = nullptr;
  bool serial = false;     ///< wait for the whole piece before: what is shared is not cut by keys
  bool add_query = false;  ///< otherwise the query's gradient is written
};

/// Rows that the next piece begins with: asked for while this one computes, since they lie far apart in short runs,
/// which no processor foresees.
struct Ahead {
  static constexpr int most = 8, most_rows = 64;
  struct Part {
    const char* data;
    std::int64_t stride, bytes, rows;  ///< strides and widths in bytes
  };
  int parts = 0;
  Part part[most];

  void add(const void* data, std::int64_t stride, std::int64_t bytes, std::int64_t rows) {
    if (data) part[parts++] = {static_cast<const char*>(data), stride, bytes, rows < most_rows ? rows : most_rows};
  }
};

struct Forward {
  /// Output and log-sum-exp of queries [begin, begin + count), count ≤ query_task.
  void (*block)(const Head& head, std::int64_t begin, int count, const Ahead& ahead);
};

/// For normalisers that need a query's scores whole, and for looking at weights.
struct WholeRows {
  /// Output and log-sum-exp of queries [begin, begin + count), count ≤ whole_rows.
  void (*attend)(const Head& head, std::int64_t begin, int count);
  /// Their weights, before dropout, or with `raw` their scores: [count, keys], rows `stride` floats apart.
  void (*show)(const Head& head, std::int64_t begin, int count, float* weights, std::int64_t stride, bool raw);
};

struct Backward {
  /// Gradients from queries [begin, begin + count), count ≤ query_block.
  void (*block)(const Head& head, const HeadGradients& gradients, std::int64_t begin, int count, const Ahead& ahead);
  /// What normalisers that are not softmax subtract from the gradient of each weight: product[query].
  void (*average)(const Head& head, const HeadGradients& gradients, std::int64_t begin, int count, float* product);
};

/// How many keys of these widths are worked on together: what is packed of them is to stay in the second-level cache.
constexpr int keys_at_once(std::int64_t widths) { return widths > 160 ? 512 : key_chunk; }

constexpr std::int64_t padded(std::int64_t width) { return (width + 15) / 16 * 16; }

}  // namespace heed::attention
