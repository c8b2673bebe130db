#include <algorithm>

#include "attention/cpu/decode.h"
#include "attention/decode.h"
#include "attention/mask.h"
#include "attention/plan.h"
#include "attention/problem.h"
#include "attention/schedule.h"

namespace heed::attention {

namespace {

std::string many(std::int64_t count, std::string_view what) {
  return format("{} {}{}", count, what, count == 1 ? "" : "s");
}

/// "shapes: …"
std::string shapes(const AttentionProblem& problem) {
  std::int64_t queries = 0, keys = 0, all = 0;
  for (std::size_t i = 0; i < problem.sequences.size(); ++i) {
    queries = std::max(queries, problem.sequences[i].query_count);
    keys = std::max(keys, key_count_of(problem, i));
    all += problem.sequences[i].query_count;
  }
  std::string text =
      format("shapes: {} of at most {} and {}, {} in all; {} over {} of widths {} and {}",
             many(static_cast<std::int64_t>(problem.sequences.size()), "sequence"), many(queries, "query row"),
             many(keys, "key"), many(all, "query row"), many(problem.heads, "head"),
             many(problem.key_value_heads, "key-value head"), key_width_of(problem), problem.value_width);
  if (key_width_of(problem) != problem.head_width) text += format(" (queries of {})", problem.head_width);
  return text + "\n";
}

/// What happens to queries and keys before any kernel sees them.
std::string before(const AttentionProblem& problem) {
  switch (problem.spec.score) {
    case Score::bilinear:
      return "first: queries are multiplied by W, into a copy; kernels see products alone\n";
    case Score::cosine:
      return "first: queries and keys are divided by their norms, into float32 copies; kernels see products alone\n";
    case Score::euclidean:
      return "first: squared norms of queries and keys are summed, which turn products into distances\n";
    default:
      return "";
  }
}

/// Why sequences of few queries are not decoded.
std::string not_decoded(const AttentionProblem& problem) {
  if (problem.spec.score == Score::additive) return "additive scores are no products, which decoding makes";
  if (needs_whole_rows(problem.spec.normaliser))
    return format("{} needs a query's scores together, which decoding has apart", name_of(problem.spec.normaliser));
  return "heads of int4 begin within a byte";
}

std::string forward_lines(const AttentionProblem& problem, const Call& call) {
  std::int64_t sequences[3] = {}, few = 0;
  for (const AttentionSequence& sequence : problem.sequences) {
    if (sequence.query_count == 0) continue;
    const ForwardKernel kernel = forward_kernel(problem, sequence);
    ++sequences[static_cast<int>(kernel)];
    few += kernel != ForwardKernel::decode && sequence.query_count <= most_decode_queries;
  }
  std::string text;
  if (const std::int64_t count = sequences[static_cast<int>(ForwardKernel::decode)]) {
    const DecodeWork work = decode_work(problem, call);
    text += format(
        "forward, decode: {} of at most {} queries; keys and values are read once for all heads and queries, in {} of "
        "at most {} keys, whose results are joined\n",
        many(count, "sequence"), most_decode_queries, many(work.parts, "part"), work.longest);
  }
  const std::string pieces = many(static_cast<std::int64_t>(forward_pieces(problem).size()), "piece");
  if (const std::int64_t count = sequences[static_cast<int>(ForwardKernel::blocks)])
    text += format("forward, blocks: {} in {} of at most {} queries of a head, {} keys at a time; fused\n",
                   many(count, "sequence"), pieces, forward_queries(problem), forward_keys(problem));
  if (const std::int64_t count = sequences[static_cast<int>(ForwardKernel::rows)])
    text += format(
        "forward, whole rows: {} in {} of at most {} queries of a head with all their scores; not fused, since {} "
        "weighs no key before it has seen all\n",
        many(count, "sequence"), pieces, forward_queries(problem), name_of(problem.spec.normaliser));
  if (few > 0)
    text += format("not decoded: {} of few queries, since {}\n", many(few, "sequence"), not_decoded(problem));
  return text;
}

/// What the mask says of the forward's blocks: so many as can be asked in a moment.
struct Blocks {
  std::int64_t empty = 0, full = 0, partial = 0;
  bool all = true;
};

Blocks blocks_of(const AttentionProblem& problem, bool heads_alike) {
  constexpr std::int64_t most = 4096;
  const std::int64_t chunk = forward_keys(problem);
  Blocks blocks;
  std::int64_t asked = 0;
  for (const Piece& piece : forward_pieces(problem)) {
    if (heads_alike && piece.head > 0) continue;
    const std::int64_t keys = key_count_of(problem, piece.sequence);
    const std::int64_t query = problem.sequences[piece.sequence].query_position + piece.begin;
    for (std::int64_t key = 0; key < keys; key += chunk) {
      if (++asked > most) {
        blocks.all = false;
        return blocks;
      }
      const Mask::Cover cover =
          problem.spec.mask.cover(static_cast<int>(piece.sequence), piece.head, query, query + piece.count, key,
                                  std::min<std::int64_t>(key + chunk, keys));
      ++(cover == Mask::Cover::empty ? blocks.empty : cover == Mask::Cover::full ? blocks.full : blocks.partial);
    }
  }
  return blocks;
}

void add_functions(const Mask::Node* node, std::vector<std::string>& names) {
  if (!node) return;
  if (node->kind == Mask::Node::Kind::function) names.push_back(node->name);
  add_functions(node->left.get(), names);
  add_functions(node->right.get(), names);
}

std::string mask_lines(const AttentionProblem& problem, const Head& head) {
  const Mask& mask = problem.spec.mask;
  if (mask.everything()) return "mask: none\n";
  std::string text;
  if (head.bands)
    text =
        format("mask: {} of keys along the queries, tested by the kernels themselves", many(head.bands->count, "band"));
  else
    text = format("mask: a program of {} for vectors, asked of squares of 64 × 64 positions that are not decided whole",
                  many(head.program->mask[1].ends[3], "instruction"));
  if (!forward_pieces(problem).empty()) {
    const Blocks blocks = blocks_of(problem, head.bands != nullptr);
    text += format("; of {} {} queries × {} keys {} empty and skipped, {} full, {} partial",
                   blocks.all ? "the blocks of" : "the first blocks of", forward_queries(problem),
                   forward_keys(problem), blocks.empty, blocks.full, blocks.partial);
    if (head.bands && problem.heads > 1) text += " in each head";
  }
  text += "\n";
  std::vector<std::string> functions;
  add_functions(mask.node(), functions);
  for (const std::string& name : functions)
    text += format(
        "slow: the mask calls the function '{}' for each pair; written as a generic lambda of (const auto& at) it runs "
        "on vectors\n",
        name);
  return text;
}

/// `blocks`: something is computed block by block or by whole rows.
std::string product_lines(const AttentionProblem& problem, const Head& head, kernels::InstructionSet set, bool decoded,
                          bool blocks) {
  if (problem.spec.score == Score::additive) return "products: none; additive scores are sums of tanh in float32\n";
  std::string text;
  if (decoded && head.key_type != DType::float32)
    text += format("products, decode: of float32, to which keys and values of {} are widened as they are read\n",
                   name_of(head.key_type));
  else if (decoded)
    text += "products, decode: of float32\n";
  if (!blocks) return text;
  if (set == kernels::InstructionSet::avx512_bf16 && head.all_bfloat16())
    return text + "products: of pairs of bfloat16, summed in float32\n";
  std::string why;
  if (problem.query.dtype != DType::bfloat16 || problem.key_value_dtype != DType::bfloat16)
    why = format("queries are {}, keys and values {}", name_of(problem.query.dtype), name_of(problem.key_value_dtype));
  else if (set != kernels::InstructionSet::avx512_bf16)
    why = format("{} multiplies no bfloat16", kernels::name_of(set));
  else
    why = "the copies that are made first are float32";
  return text + format("products: of float32, since {}\n", why);
}

std::string backward_lines(const AttentionProblem& problem) {
  const bool learned = problem.slopes || problem.relative || problem.direction || !problem.parameters.empty();
  const BackwardSteps steps(problem, problem.bias.data != nullptr, learned);
  std::string text =
      format("backward: weights computed again, in {} of at most {} queries of a head, {} keys at a time; fused\n",
             many(static_cast<std::int64_t>(steps.steps.size()), "piece"), query_block, key_block);
  text += format("backward: pieces that add to the same gradients follow one another in {}, each {} the one before\n",
                 many(static_cast<std::int64_t>(steps.chains), "chain"),
                 steps.serial ? "behind the whole of" : "block by block behind");
  if (averages_first(problem.spec.normaliser))
    text += format(
        "backward: twice over the keys, since what {} subtracts from the gradient of each weight must be known first\n",
        name_of(problem.spec.normaliser));
  return text;
}

}  // namespace

std::string explanation_of(const AttentionProblem& problem, const AttentionPlanOptions& options,
                           kernels::InstructionSet set) {
  std::string text = shapes(problem);
  text +=
      format("types: queries {}, keys and values {}, outputs {}; instruction set {}\n", name_of(problem.query.dtype),
             name_of(problem.key_value_dtype), name_of(options.output), kernels::name_of(set));
  if (problem.sequences.empty()) return text;
  ThreadPool alone(1);
  const Operands operands(problem, alone);
  const View nowhere;
  const Call call(problem, operands, nowhere, nullptr, options.backward, set);
  const Head head = call.head(0, 0, nullptr);
  text += before(problem) + forward_lines(problem, call) + mask_lines(problem, head);
  if (head.has_rule())
    text += format("rule: '{}' as a program of {} for vectors{}\n", problem.spec.rule.name(),
                   many(head.program->score[1].ends[3], "instruction"),
                   !options.backward                 ? ""
                   : head.program->derivative_is_one ? "; its derivative is 1"
                                                     : ", its derivative as another");
  const bool blocks = !forward_pieces(problem).empty();
  text += product_lines(problem, head, set, decode_work(problem, call).parts > 0, blocks || options.backward);
  if (options.backward) text += backward_lines(problem);
  return text;
}

}  // namespace heed::attention
