#include "attention/attend.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <vector>

#include "attention/bands.h"
#include "attention/problem.h"
#include "attention/workspace.h"

HEED_DECLARE_KERNELS(attention::Forward, attention_forward_kernel)
HEED_DECLARE_KERNELS(attention::Backward, attention_backward_kernel)
HEED_DECLARE_KERNELS(attention::Decode, attention_decode_kernel)

namespace heed {

namespace attention {

namespace {

constexpr kernels::Tables<Forward> forward_kernels = HEED_KERNEL_TABLES(attention_forward_kernel);
constexpr kernels::Tables<Backward> backward_kernels = HEED_KERNEL_TABLES(attention_backward_kernel);
constexpr kernels::Tables<Decode> decode_kernels = HEED_KERNEL_TABLES(attention_decode_kernel);

/// Multiply-adds that make a piece of work worth handing to another thread: some ten microseconds.
constexpr std::int64_t piece_cost = 500'000;

static_assert(sizeof(Span) == sizeof(KeyValueSpan) && alignof(Span) == alignof(KeyValueSpan));

int answer_cover(const MaskQuestions& questions, std::int64_t query, int queries, std::int64_t key, int keys) {
  const auto& mask = *static_cast<const Mask*>(questions.mask);
  return static_cast<int>(mask.cover(questions.batch, questions.head, query, query + queries, key, key + keys));
}

void fill_forbidden(const MaskQuestions& questions, std::int64_t query, int queries, std::int64_t key, int keys,
                    float* scores, std::int64_t query_stride, std::int64_t key_stride) {
  const auto& mask = *static_cast<const Mask*>(questions.mask);
  for (int k = 0; k < keys; ++k)
    for (int q = 0; q < queries; ++q)
      if (!mask.allows(questions.batch, questions.head, query + q, key + k))
        scores[k * key_stride + q * query_stride] = -std::numeric_limits<float>::infinity();
}

/// What a call's heads have in common, and the making of each.
class Call {
 public:
  Call(const AttentionProblem& problem, const View& output, float* log_sum_exp)
      : problem_(problem), output_(output), log_sum_exp_(log_sum_exp), bands_(bands_of(problem.spec.mask)) {}

  Head head(std::size_t sequence_index, int number, float* scratch) const {
    const AttentionSequence& sequence = problem_.sequences[sequence_index];
    const int group = problem_.heads / problem_.key_value_heads;
    Head head;
    head.width = problem_.head_width;
    head.value_width = problem_.value_width;
    head.queries = sequence.query_count;
    head.keys = sequence.key_count;
    head.position = sequence.query_position;
    head.query = row(problem_.query, sequence.query_begin, std::int64_t{number} * problem_.head_width);
    head.query_type = problem_.query.dtype;
    head.query_stride = problem_.query.row_stride;
    head.spans = reinterpret_cast<const Span*>(sequence.spans.data());
    head.span_count = static_cast<int>(sequence.spans.size());
    head.key_value_type = problem_.key_value_dtype;
    head.key_stride = problem_.key_stride;
    head.value_stride = problem_.value_stride;
    head.key_column = std::int64_t{number / group} * problem_.head_width;
    head.value_column = std::int64_t{number / group} * problem_.value_width;
    head.output = row(output_, sequence.query_begin, std::int64_t{number} * problem_.value_width);
    head.output_type = output_.dtype;
    head.output_stride = output_.row_stride;
    if (log_sum_exp_) head.log_sum_exp = log_sum_exp_ + number * problem_.query.rows + sequence.query_begin;
    head.scale = scale_of(problem_);
    head.soft_cap = problem_.spec.soft_cap;
    if (problem_.spec.dropout > 0.0f) {
      const RandomKey key = drop_key(problem_, sequence_index, number);
      head.kept = 1.0f - problem_.spec.dropout;
      head.drop_below = drop_below(problem_.spec.dropout);
      head.drop_key_low = static_cast<std::uint32_t>(key.seed);
      head.drop_key_high = static_cast<std::uint32_t>(key.seed >> 32);
    }
    if (problem_.slopes) head.slope = problem_.slopes[number];
    if (problem_.relative) head.relative = problem_.relative + number * (2 * problem_.relative_reach + 1);
    head.reach = problem_.relative_reach;
    head.bands = bands_ ? &*bands_ : nullptr;
    head.mask = {&problem_.spec.mask, static_cast<int>(sequence_index), number, answer_cover, fill_forbidden};
    head.scratch = scratch;
    return head;
  }

  static void* row(const View& view, std::int64_t row, std::int64_t column) {
    return view.as<char>() + (row * view.row_stride + column) * size_of(view.dtype);
  }

 private:
  const AttentionProblem& problem_;
  const View& output_;
  float* log_sum_exp_;
  std::optional<Bands> bands_;
};

/// Consecutive units of work that one thread does together.
struct Piece {
  std::int64_t begin, end;
};

/// Cuts `count` units into pieces of at least piece_cost, by shape alone. cost(unit) in multiply-adds.
template <class Cost>
std::vector<Piece> pieces_of(std::int64_t count, Cost cost) {
  std::vector<Piece> pieces;
  std::int64_t sum = 0, begin = 0;
  for (std::int64_t unit = 0; unit < count; ++unit) {
    sum += cost(unit);
    if (sum < piece_cost && unit + 1 < count) continue;
    pieces.push_back({begin, unit + 1});
    begin = unit + 1;
    sum = 0;
  }
  return pieces;
}

std::int64_t blocks_of(std::int64_t count, std::int64_t block) { return (count + block - 1) / block; }

/// One block of queries of one head.
struct ForwardUnit {
  std::size_t sequence;
  int head;
  std::int64_t begin;
  int count;
};

/// Queries against a long cache, a few at a time: keys are cut into pieces of decode_block.
struct DecodeUnit {
  std::size_t sequence;
  int head;
  std::int64_t query, begin, end;
  std::int64_t partial;   ///< where its result goes
  std::int64_t partials;  ///< of the same query, for the first of them; else 0
};

bool decodes(const AttentionSequence& sequence) { return sequence.query_count <= most_decode_queries; }

void run_blocks(const AttentionProblem& problem, const Call& call, ThreadPool& pool, const Forward& kernel) {
  std::vector<ForwardUnit> units;
  for (std::size_t s = 0; s < problem.sequences.size(); ++s) {
    const AttentionSequence& sequence = problem.sequences[s];
    if (decodes(sequence)) continue;
    for (int head = 0; head < problem.heads; ++head)
      for (std::int64_t begin = 0; begin < sequence.query_count; begin += query_block)
        units.push_back(
            {s, head, begin, static_cast<int>(std::min<std::int64_t>(query_block, sequence.query_count - begin))});
  }
  if (units.empty()) return;
  const std::int64_t width = problem.head_width + problem.value_width;
  const std::vector<Piece> pieces = pieces_of(static_cast<std::int64_t>(units.size()), [&](std::int64_t i) {
    const ForwardUnit& unit = units[static_cast<std::size_t>(i)];
    return unit.count * (problem.sequences[unit.sequence].key_count + 16) * width;
  });
  const std::int64_t scratch = scratch_floats(problem.head_width, problem.value_width, false);
  pool.parallel_for(static_cast<std::int64_t>(pieces.size()), [&](std::int64_t i) {
    const Workspace workspace(scratch);
    const Piece& piece = pieces[static_cast<std::size_t>(i)];
    const auto head_of = [&](const ForwardUnit& unit) {
      return call.head(unit.sequence, unit.head, workspace.floats());
    };
    Head head = head_of(units[static_cast<std::size_t>(piece.begin)]);
    for (std::int64_t u = piece.begin; u < piece.end; ++u) {
      const ForwardUnit& unit = units[static_cast<std::size_t>(u)];
      const bool last = u + 1 == static_cast<std::int64_t>(units.size());
      const ForwardUnit& next = units[static_cast<std::size_t>(last ? u : u + 1)];
      const Head next_head = head_of(next);
      kernel.block(head, unit.begin, unit.count, last ? nullptr : &next_head, next.begin);
      head = next_head;
    }
  });
}

void run_decoding(const AttentionProblem& problem, const Call& call, ThreadPool& pool, const Decode& kernel) {
  std::vector<DecodeUnit> units;
  std::int64_t partial = 0;
  for (std::size_t s = 0; s < problem.sequences.size(); ++s) {
    const AttentionSequence& sequence = problem.sequences[s];
    if (!decodes(sequence)) continue;
    const std::int64_t blocks = std::max<std::int64_t>(1, blocks_of(sequence.key_count, decode_block));
    for (int head = 0; head < problem.heads; ++head)
      for (std::int64_t block = 0; block < blocks; ++block)
        for (std::int64_t query = 0; query < sequence.query_count; ++query) {
          const std::int64_t begin = block * decode_block, end = std::min(begin + decode_block, sequence.key_count);
          units.push_back({s, head, query, begin, end, partial + query * blocks + block, block == 0 ? blocks : 0});
          if (block + 1 == blocks && query + 1 == sequence.query_count) partial += sequence.query_count * blocks;
        }
  }
  if (units.empty()) return;
  const std::int64_t width = problem.head_width + problem.value_width, stride = padded(problem.value_width + 2);
  const Workspace partials(partial * stride);
  const std::int64_t scratch = scratch_floats(problem.head_width, problem.value_width, false);
  const std::vector<Piece> pieces = pieces_of(static_cast<std::int64_t>(units.size()), [&](std::int64_t i) {
    const DecodeUnit& unit = units[static_cast<std::size_t>(i)];
    return (unit.end - unit.begin + 32) * width * 4;  // bound by memory rather than by arithmetic
  });
  pool.parallel_for(static_cast<std::int64_t>(pieces.size()), [&](std::int64_t i) {
    const Workspace workspace(scratch);
    const Piece& piece = pieces[static_cast<std::size_t>(i)];
    for (std::int64_t u = piece.begin; u < piece.end; ++u) {
      const DecodeUnit& unit = units[static_cast<std::size_t>(u)];
      const Head head = call.head(unit.sequence, unit.head, workspace.floats());
      float* result = partials.floats() + unit.partial * stride;
      kernel.piece(head, unit.query, unit.begin, unit.end, result);
      if (unit.partials == 1) kernel.join(head, unit.query, result, 1, stride);
    }
  });
  for (const DecodeUnit& unit : units)
    if (unit.partials > 1)
      kernel.join(call.head(unit.sequence, unit.head, nullptr), unit.query, partials.floats() + unit.partial * stride,
                  static_cast<int>(unit.partials), stride);
}

void clear(float* rows, std::int64_t stride, std::int64_t count, std::int64_t width) {
  for (std::int64_t row = 0; rows && row < count; ++row) std::fill_n(rows + row * stride, width, 0.0f);
}

}  // namespace

void forward(const AttentionProblem& problem, View output, float* log_sum_exp, ThreadPool& pool,
             kernels::InstructionSet set) {
  check_forward(problem, output);
  const Call call(problem, output, log_sum_exp);
  run_decoding(problem, call, pool, decode_kernels[set]);
  run_blocks(problem, call, pool, forward_kernels[set]);
}

// A unit is a sequence and a key-value head with all its query heads: it alone writes their gradients, in one order.
void backward(const AttentionProblem& problem, View output, const float* log_sum_exp, View doutput,
              const AttentionGradients& gradients, ThreadPool& pool, kernels::InstructionSet set) {
  check_backward(problem, output, log_sum_exp, doutput, gradients);
  const Call call(problem, output, const_cast<float*>(log_sum_exp));
  const int key_value_heads = problem.key_value_heads, group = problem.heads / key_value_heads;
  const std::int64_t width = problem.head_width, value_width = problem.value_width;
  const std::int64_t table = 2 * problem.relative_reach + 1;
  const auto units = static_cast<std::int64_t>(problem.sequences.size()) * key_value_heads;
  std::vector<float> tables(gradients.relative ? static_cast<std::size_t>(units * group * table) : 0);

  const std::vector<Piece> pieces = pieces_of(units, [&](std::int64_t unit) {
    const AttentionSequence& sequence = problem.sequences[static_cast<std::size_t>(unit / key_value_heads)];
    return group * sequence.query_count * (sequence.key_count + 16) * (width + value_width) * 5 / 2;
  });
  const std::int64_t scratch = scratch_floats(problem.head_width, problem.value_width, true);
  const std::int64_t heads = problem.heads, all_heads = units * group;

  /// Head `number` of all sequences' heads, and where its gradients go.
  struct Work {
    Head head;
    HeadGradients to;
  };
  const auto work_of = [&](std::int64_t number, float* memory) {
    const auto index = static_cast<std::size_t>(number / heads);
    const AttentionSequence& sequence = problem.sequences[index];
    const std::int64_t head = number % heads, shared = head / group;
    const auto place = [](const View& view, std::int64_t row, std::int64_t column) {
      return view.data ? static_cast<float*>(Call::row(view, row, column)) : nullptr;
    };
    Work work{call.head(index, static_cast<int>(head), memory), {}};
    work.to = {.doutput = place(doutput, sequence.query_begin, head * value_width),
               .doutput_stride = doutput.row_stride,
               .query = place(gradients.query, sequence.query_begin, head * width),
               .query_stride = gradients.query.row_stride,
               .key = place(gradients.key, sequence.key_begin, shared * width),
               .key_stride = gradients.key.row_stride,
               .value = place(gradients.value, sequence.key_begin, shared * value_width),
               .value_stride = gradients.value.row_stride,
               .relative = gradients.relative ? tables.data() + number * table : nullptr};
    return work;
  };
  pool.parallel_for(static_cast<std::int64_t>(pieces.size()), [&](std::int64_t i) {
    const Workspace workspace(scratch);
    const std::int64_t begin = pieces[static_cast<std::size_t>(i)].begin * group;
    const std::int64_t end = pieces[static_cast<std::size_t>(i)].end * group;
    Work work = work_of(begin, workspace.floats());
    for (std::int64_t number = begin; number < end; ++number) {
      const Head& head = work.head;
      if (number % group == 0) {
        if (!gradients.accumulate_key) clear(work.to.key, work.to.key_stride, head.keys, width);
        if (!gradients.accumulate_value) clear(work.to.value, work.to.value_stride, head.keys, value_width);
      }
      if (!gradients.accumulate_query) clear(work.to.query, work.to.query_stride, head.queries, width);
      const bool last = number + 1 == all_heads;
      const Work next = work_of(last ? number : number + 1, workspace.floats());
      backward_kernels[set].head(head, work.to, last ? nullptr : &next.head, &next.to);
      work = next;
    }
  });
  for (std::size_t i = 0; i < tables.size(); ++i)
    gradients.relative[i % static_cast<std::size_t>(problem.heads * table)] += tables[i];
}

}  // namespace attention

void attention_forward(const AttentionProblem& problem, View output, float* log_sum_exp, ThreadPool& pool) {
  attention::forward(problem, output, log_sum_exp, pool, kernels::chosen());
}

void attention_backward(const AttentionProblem& problem, View output, const float* log_sum_exp, View doutput,
                        const AttentionGradients& gradients, ThreadPool& pool) {
  attention::backward(problem, output, log_sum_exp, doutput, gradients, pool, kernels::chosen());
}

}  // namespace heed
