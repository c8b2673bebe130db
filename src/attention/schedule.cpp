#include "attention/schedule.h"

#include <algorithm>

#include "attention/cpu/scratch.h"
#include "attention/decode.h"
#include "attention/problem.h"

namespace heed::attention {

bool needs_whole_rows(Normaliser normaliser) {
  return normaliser == Normaliser::sparsemax || normaliser == Normaliser::entmax15;
}

bool averages_first(Normaliser normaliser) { return normaliser > Normaliser::sigmoid; }

ForwardKernel forward_kernel(const AttentionProblem& problem, const AttentionSequence& sequence) {
  if (is_decoded(problem, sequence)) return ForwardKernel::decode;
  return needs_whole_rows(problem.spec.normaliser) ? ForwardKernel::rows : ForwardKernel::blocks;
}

int forward_queries(const AttentionProblem& problem) {
  if (needs_whole_rows(problem.spec.normaliser)) return whole_rows;
  // Long pieces pack keys for many queries; but every processor of a large machine wants some.
  for (int size = problem.head_width + problem.value_width > 160 ? query_task / 2 : query_task; size > 60; size /= 2) {
    std::int64_t pieces = 0;
    for (const AttentionSequence& sequence : problem.sequences)
      pieces += problem.heads * ((sequence.query_count + size - 1) / size);
    if (pieces >= 24) return size;
  }
  return 60;
}

int forward_keys(const AttentionProblem& problem) { return keys_at_once(key_width_of(problem) + problem.value_width); }

std::vector<Piece> forward_pieces(const AttentionProblem& problem) {
  const int most = forward_queries(problem);
  std::vector<Piece> pieces;
  for (std::size_t s = 0; s < problem.sequences.size(); ++s) {
    if (is_decoded(problem, problem.sequences[s])) continue;
    // Pieces of a length, of whole groups: a short last one would pack the same keys for few queries.
    const std::int64_t queries = problem.sequences[s].query_count,
                       parts = std::max<std::int64_t>(1, (queries + most - 1) / most);
    const std::int64_t size = ((queries + parts - 1) / parts + group_rows - 1) / group_rows * group_rows;
    for (int head = 0; head < problem.heads; ++head)
      for (std::int64_t begin = 0; begin < queries; begin += size)
        pieces.push_back({s, head, begin, static_cast<int>(std::min(size, queries - begin))});
  }
  return pieces;
}

std::int64_t forward_floats(const AttentionProblem& problem, std::int64_t count, std::int64_t keys) {
  const auto width = static_cast<int>(key_width_of(problem)), queries = static_cast<int>(count);
  return needs_whole_rows(problem.spec.normaliser) ? whole_rows_scratch(width, problem.value_width, queries, keys)
                                                   : forward_scratch(width, problem.value_width, queries);
}

BackwardSteps::BackwardSteps(const AttentionProblem& problem, bool bias, bool learned) {
  const int group = problem.heads / problem.key_value_heads;
  const auto key_heads = static_cast<std::size_t>(problem.key_value_heads);
  const std::int64_t* const strides = problem.bias.strides;
  const bool across_sequences = bias && strides[0] == 0 && problem.sequences.size() > 1;
  const bool across_heads = bias && strides[1] == 0 && problem.heads > 1;
  serial = learned || (bias && strides[3] == 0);
  std::vector<std::ptrdiff_t> last(problem.sequences.size() * key_heads, -1);
  std::int64_t longest = 0;
  for (const AttentionSequence& sequence : problem.sequences) longest = std::max(longest, sequence.query_count);
  // Blocks outermost: neighbouring steps belong to other chains, and seldom wait.
  for (std::int64_t begin = 0; begin < longest; begin += query_block)
    for (std::size_t s = 0; s < problem.sequences.size(); ++s)
      for (int head = 0; head < problem.heads && begin < problem.sequences[s].query_count; ++head) {
        const std::int64_t count = std::min<std::int64_t>(query_block, problem.sequences[s].query_count - begin);
        const std::size_t chain =
            (across_sequences ? 0 : s) * key_heads + (across_heads ? 0 : static_cast<std::size_t>(head / group));
        const bool first = begin == 0 && head % group == 0;
        chains += last[chain] < 0;
        steps.push_back({{s, head, begin, static_cast<int>(count)}, chain, last[chain], first});
        last[chain] = static_cast<std::ptrdiff_t>(steps.size()) - 1;
      }
}

}  // namespace heed::attention
