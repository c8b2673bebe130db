#include "attention/decode.h"

#include <algorithm>

#include "attention/cpu/decode.h"
#include "attention/problem.h"
#include "attention/workspace.h"

HEED_DECLARE_KERNELS(attention::Decode, attention_decode_kernel)

namespace heed::attention {

namespace {

constexpr kernels::Tables<Decode> decode_kernels = HEED_KERNEL_TABLES(attention_decode_kernel);

constexpr std::int64_t part_bytes = 1 << 20;  ///< keys and values that a part reads at least
constexpr std::int64_t most_parts = 128;      ///< of one sequence

std::int64_t bits_of(DType dtype) { return dtype == DType::q4 ? 4 : 8 * size_of(dtype); }

/// Sequences that are decoded together over some keys, and where their partial results stand.
struct Group {
  std::vector<std::size_t> sequences;
  std::vector<Head> heads;  ///< [key_value_heads, sequences, heads of each]
  Decoding decoding;
  std::int64_t begin = 0, end = 0;  ///< keys
  std::int64_t part = 1;            ///< keys of a part
  std::int64_t partial = 0;         ///< where the first part's results stand
  std::int64_t partial_size = 0;    ///< floats of one part's

  std::int64_t parts() const { return (end - begin + part - 1) / part; }
};

/// The keys of [begin, end) that some query of a head may see, as far as bands tell.
void cut_to_bands(const Head& head, std::int64_t& begin, std::int64_t& end) {
  if (!head.bands) return;
  std::int64_t first = end, last = begin;
  for (int i = 0; i < head.bands->count; ++i) {
    const Bands::Band& band = head.bands->band[i];
    const std::int64_t from = std::max({head.position + band.low, band.first, begin});
    const std::int64_t to = std::min({head.position + head.queries - 1 + band.high, band.end, end});
    if (from >= to) continue;
    first = std::min(first, from);
    last = std::max(last, to);
  }
  begin = std::min(first, last);
  end = last;
}

/// `sequences` over keys [begin, end).
Group group_of(const AttentionProblem& problem, const Call& call, std::vector<std::size_t> sequences,
               std::int64_t begin, std::int64_t end) {
  const int shared = problem.heads / problem.key_value_heads;
  Group group;
  group.sequences = std::move(sequences);
  group.begin = begin;
  group.end = end;
  for (int head = 0; head < problem.heads; head += shared)
    for (const std::size_t index : group.sequences)
      for (int member = 0; member < shared; ++member) group.heads.push_back(call.head(index, head + member, nullptr));
  group.decoding = {.heads = group.heads.data(),
                    .key_value_heads = problem.key_value_heads,
                    .members = shared * static_cast<int>(group.sequences.size()),
                    .rows = 0};
  for (const std::size_t index : group.sequences)
    group.decoding.rows += shared * static_cast<int>(problem.sequences[index].query_count);
  if (group.sequences.size() == 1) cut_to_bands(group.heads[0], group.begin, group.end);

  const Head& head = group.heads[0];
  const std::int64_t rows = std::int64_t{problem.key_value_heads} * group.decoding.rows;
  group.partial_size = rows * partial_floats(head.value_width);
  const std::int64_t bytes =
      problem.key_value_heads * (head.width * bits_of(head.key_type) + head.value_width * bits_of(head.value_type)) / 8;
  // Partial results are written and read again: the fewer, the larger they are.
  const std::int64_t least = std::max(part_bytes, 32 * group.partial_size * 4) / bytes;
  const std::int64_t keys = std::max(least, (group.end - group.begin) / most_parts);
  group.part = (keys + 63) / 64 * 64;
  return group;
}

class Decoder {
 public:
  Decoder(const AttentionProblem& problem, const Call& call) : problem_(problem), groups_of_(problem.sequences.size()) {
    std::vector<std::int64_t> begin(problem.sequences.size());
    const auto decoded = [&](std::size_t index) { return is_decoded(problem, problem.sequences[index]); };
    for (const SharedPrefix& prefix : problem.prefixes) {
      std::vector<std::size_t> sequences;
      std::ranges::copy_if(prefix.sequences, std::back_inserter(sequences), decoded);
      if (sequences.empty()) continue;
      for (const std::size_t index : sequences) begin[index] = prefix.count;
      add(group_of(problem, call, std::move(sequences), 0, prefix.count));
    }
    for (std::size_t index = 0; index < problem.sequences.size(); ++index)
      if (decoded(index))
        add(group_of(problem, call, {index}, begin[index], begin[index] + problem.sequences[index].key_count));
  }

  DecodeWork work() const {
    DecodeWork work{.partial_floats = partial_floats_};
    for (const Group& group : groups_) {
      work.parts += group.parts();
      work.longest = std::max(work.longest, std::min(group.part, group.end - group.begin));
      work.thread_floats = std::max(work.thread_floats, decode_scratch(group.decoding));
    }
    return work;
  }

  void run(ThreadPool& pool, const Decode& kernels, std::int64_t rule_scratch) {
    const Workspace partial(partial_floats_);
    struct Part {
      const Group* group;
      std::int64_t number;
    };
    std::vector<Part> parts;
    for (const Group& group : groups_)
      for (std::int64_t i = 0; i < group.parts(); ++i) parts.push_back({&group, i});
    const std::vector<Share> shares = shares_of(static_cast<std::int64_t>(parts.size()), [&](std::int64_t i) {
      const Group& group = *parts[static_cast<std::size_t>(i)].group;
      const Head& head = group.heads[0];
      return std::min(group.part, group.end - group.begin) * (head.width + head.value_width) *
             std::max(4, group.decoding.rows) * group.decoding.key_value_heads;
    });
    // Each thread goes through memory of its own: neighbours that two threads read in turn come a third slower.
    const auto count = static_cast<std::int64_t>(shares.size());
    const std::int64_t threads = pool.threads(), stretch = count / threads;
    pool.parallel_for(count, [&](std::int64_t i) {
      const std::int64_t own = i < stretch * threads ? i % threads * stretch + i / threads : i;
      const Share& share = shares[static_cast<std::size_t>(own)];
      for (std::int64_t p = share.begin; p < share.end; ++p) {
        const auto& [group, number] = parts[static_cast<std::size_t>(p)];
        const Workspace scratch(decode_scratch(group->decoding) + rule_scratch);
        const std::int64_t begin = group->begin + number * group->part;
        kernels.part(group->decoding, begin, std::min(begin + group->part, group->end), scratch.floats(),
                     partial.floats() + group->partial + number * group->partial_size);
      }
    });

    std::vector<std::size_t> decoded;
    for (std::size_t index = 0; index < groups_of_.size(); ++index)
      if (!groups_of_[index].empty()) decoded.push_back(index);
    const std::vector<Share> joins =
        shares_of(static_cast<std::int64_t>(decoded.size()) * problem_.heads, [&](std::int64_t i) {
          return problem_.value_width * 4 * parts_of(decoded[static_cast<std::size_t>(i / problem_.heads)]);
        });
    pool.parallel_for(static_cast<std::int64_t>(joins.size()), [&](std::int64_t i) {
      const Share& share = joins[static_cast<std::size_t>(i)];
      for (std::int64_t unit = share.begin; unit < share.end; ++unit)
        join(decoded[static_cast<std::size_t>(unit / problem_.heads)], static_cast<int>(unit % problem_.heads),
             partial.floats(), kernels);
    });
  }

 private:
  void add(Group group) {
    group.partial = partial_floats_;
    partial_floats_ += group.parts() * group.partial_size;
    for (const std::size_t index : group.sequences) groups_of_[index].push_back(groups_.size());
    groups_.push_back(std::move(group));
  }

  std::int64_t parts_of(std::size_t index) const {
    std::int64_t parts = 0;
    for (const std::size_t number : groups_of_[index]) parts += groups_[number].parts();
    return parts;
  }

  void join(std::size_t index, int head, const float* partial, const Decode& kernels) const {
    const std::int64_t queries = problem_.sequences[index].query_count;
    const int shared = problem_.heads / problem_.key_value_heads;
    std::vector<const float*> parts(static_cast<std::size_t>(parts_of(index)));
    for (std::int64_t query = 0; query < queries; ++query) {
      auto next = parts.begin();
      const Head* own = nullptr;
      for (const std::size_t number : groups_of_[index]) {
        const Group& group = groups_[number];
        const int key_value_head = head / shared;
        std::int64_t row = std::int64_t{key_value_head} * group.decoding.rows + head % shared * queries + query;
        int place = key_value_head * group.decoding.members + head % shared;
        for (const std::size_t before : group.sequences) {
          if (before == index) break;
          row += shared * problem_.sequences[before].query_count;
          place += shared;
        }
        own = &group.heads[static_cast<std::size_t>(place)];
        const float* at = partial + group.partial + row * partial_floats(problem_.value_width);
        for (std::int64_t i = 0; i < group.parts(); ++i, at += group.partial_size) *next++ = at;
      }
      kernels.join(*own, query, parts.data(), static_cast<int>(parts.size()));
    }
  }

  const AttentionProblem& problem_;
  std::vector<Group> groups_;
  std::vector<std::vector<std::size_t>> groups_of_;  ///< of each sequence; empty: it is not decoded
  std::int64_t partial_floats_ = 0;
};

}  // namespace

bool is_decoded(const AttentionProblem& problem, const AttentionSequence& sequence) {
  // An int4 head that begins within a byte is left to the others.
  const bool whole_bytes = problem.key_value_dtype != DType::q4 || problem.key_value_heads == 1 ||
                           (problem.head_width % 2 == 0 && problem.value_width % 2 == 0);
  return sequence.query_count > 0 && sequence.query_count <= most_decode_queries && whole_bytes &&
         problem.spec.score != Score::additive && problem.spec.normaliser <= Normaliser::sigmoid;
}

void decode(const AttentionProblem& problem, const Call& call, ThreadPool& pool, kernels::InstructionSet set) {
  Decoder(problem, call).run(pool, decode_kernels[set], call.rule_scratch());
}

DecodeWork decode_work(const AttentionProblem& problem, const Call& call) { return Decoder(problem, call).work(); }

}  // namespace heed::attention
