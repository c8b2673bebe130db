#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <vector>

#include "attention/bands.h"
#include "attention/cpu/decode.h"
#include "attention/mask.h"
#include "attention/problem.h"
#include "attention/schedule.h"

namespace heed::attention {

namespace {

constexpr Score scores[] = {Score::scaled_dot, Score::dot,       Score::bilinear,
                            Score::cosine,     Score::euclidean, Score::additive};
constexpr Normaliser normalisers[] = {Normaliser::softmax, Normaliser::softmax_zero, Normaliser::softmax_sink,
                                      Normaliser::sigmoid, Normaliser::sparsemax,    Normaliser::entmax15};
constexpr DType types[] = {DType::float32, DType::bfloat16, DType::float16, DType::int8, DType::q4};

/// A problem of one head and one sequence, whose memory nobody reads.
class Small {
 public:
  Small(Score score, Normaliser normaliser, std::int64_t queries, DType dtype = DType::float32) {
    problem.spec.score = score;
    problem.spec.normaliser = normaliser;
    problem.head_width = problem.value_width = 2;
    problem.key_stride = problem.value_stride = 2;
    problem.key_value_dtype = dtype;
    problem.query = {memory_, DType::float32, queries, 2, 2};
    if (score == Score::bilinear) problem.bilinear = memory_;
    if (score == Score::additive) problem.direction = memory_;
    if (normaliser == Normaliser::softmax_sink) problem.sinks = memory_;
    const float* const scales = is_quantised(dtype) ? memory_ : nullptr;
    AttentionSequence sequence;
    sequence.query_count = queries;
    sequence.key_count = 1;
    sequence.spans = {{memory_, memory_, 1, scales, scales}};
    problem.sequences = {sequence};
  }
  std::string forward() const {
    switch (forward_kernel(problem, problem.sequences[0])) {
      case ForwardKernel::decode:
        return "split keys";
      case ForwardKernel::blocks:
        return "fused";
      default:
        return "whole rows";
    }
  }
  std::string backward() {
    const View rows{memory_, DType::float32, problem.query.rows, 2, 2};
    try {
      check_backward(problem, rows, memory_, rows, {});
    } catch (const Error&) {
      return "no";
    }
    return averages_first(problem.spec.normaliser) ? "fused, twice over the keys" : "fused";
  }

  AttentionProblem problem;

 private:
  float memory_[8] = {};
};

constexpr std::int64_t many_queries = 100;

/// A line of a table; bars within a cell are none of its own.
std::string row(const std::string& first, const std::vector<std::string>& cells) {
  std::string text = "| ";
  for (const char c : first) text += c == '|' ? std::string("\\|") : std::string(1, c);
  text += " |";
  for (const std::string& cell : cells) text += " " + cell + " |";
  return text + "\n";
}

template <class Cell>
std::string by_score_and_normaliser(const std::string& title, const std::string& note, Cell cell) {
  std::vector<std::string> names, lines;
  for (const Normaliser normaliser : normalisers) names.push_back(format("{}", name_of(normaliser)));
  std::string text =
      format("## {}\n\n{}\n\n", title, note) + row("", names) + row("---", std::vector<std::string>(6, "---"));
  for (const Score score : scores) {
    std::vector<std::string> cells;
    for (const Normaliser normaliser : normalisers) cells.push_back(cell(score, normaliser));
    text += row(format("**{}**", name_of(score)), cells);
  }
  return text + "\n";
}

std::string by_type() {
  std::string text = "## Types of keys and values\n\nOf queries, outputs and gradients see `heed/attention.h`.\n\n" +
                     row("", {"forward", "decode", "backward"}) + row("---", {"---", "---", "---"});
  for (const DType dtype : types) {
    Small block(Score::scaled_dot, Normaliser::softmax, many_queries, dtype);
    const Small one(Score::scaled_dot, Normaliser::softmax, 1, dtype);
    text += row(format("**{}**", dtype == DType::q4 ? "int4" : name_of(dtype)),
                {block.forward(), one.forward(), block.backward()});
  }
  return text + "\n";
}

bool has_function(const Mask::Node* node) {
  return node && (node->kind == Mask::Node::Kind::function || has_function(node->left.get()) ||
                  has_function(node->right.get()));
}

std::string by_mask() {
  const std::vector<std::int32_t> ids = {0, 1};
  const Tensor table({2, 2}, DType::boolean);
  const Mask masks[] = {
      causal(),
      window(4),
      first_keys(2),
      causal() & (window(4) | first_keys(2)),
      !window(4),
      mask("near", [](const auto& at) noexcept { return abs(at.query - at.key) < 100 || at.key < 4; }),
      dilated(2),
      documents(ids),
      key_lengths({2}),
      key_lengths({2, 1}),
      allowed(table),
      blocks(table, 64),
      mask("thirds", [](const auto& at) noexcept { return floor(at.key / 3) * 3 == at.key; }),
      mask("plain", [](int, int, std::int64_t query, std::int64_t key) noexcept { return key < query; }),
  };
  std::string text = "## Masks\n\n" + row("mask", {"how it is evaluated"}) + row("---", {"---"});
  for (const Mask& mask : masks)
    text += row(format("`{}`", mask), {bands_of(mask)              ? "bands of keys along the queries"
                                       : has_function(mask.node()) ? "a function, pair by pair: slow"
                                                                   : "a program for vectors"});
  return text + "\n";
}

/// docs/attention_support.md, as the code decides it.
std::string support_page() {
  std::string text = R"(# What is fused

Every combination of score, normaliser, mask, biases, soft cap, rule, dropout, sinks, head grouping and lengths is computed, forward
and backward, in memory linear in length. This page says by which kernel; a test writes it from the code's own decisions (`plan(…)
.explain()` in `heed/attention_plan.h` says the same of one problem, with its blocks and memory).

- **fused**: scores are made a block of keys at a time, weighed as they come (online softmax) and never held.
- **whole rows**: sparsemax and entmax15 weigh no key before they have seen all of a query's scores. Some queries at a time keep
  theirs whole, on vectors; memory is linear in keys.
- **split keys**: of one or a few queries, the keys are cut into parts for several threads; keys and values are read once for all
  heads of a group, and the partial results joined.
- **fused, twice over the keys**: the backward makes the weights again block by block. What sparsemax and entmax15 subtract from each
  weight's gradient must be known first: one pass for it, one for the gradients.

Bilinear queries are multiplied by W first, cosine's queries and keys divided by their norms (into copies), and Euclidean scores
are products with squared norms added: all three run in the kernels of the dot product. Additive scores have a tile of their own.

)";
  text += by_score_and_normaliser("Forward", "Of sequences with more than a few queries.",
                                  [](Score s, Normaliser n) { return Small(s, n, many_queries).forward(); });
  text += by_score_and_normaliser("Backward", "Of keys and values in one piece each.",
                                  [](Score s, Normaliser n) { return Small(s, n, many_queries).backward(); });
  text += by_score_and_normaliser("Decode", format("Of sequences with at most {} queries.", most_decode_queries),
                                  [](Score s, Normaliser n) { return Small(s, n, 1).forward(); });
  text += by_type() + by_mask();
  text +=
      R"(Bands and programs are asked for whole blocks first: empty blocks cost nothing, full ones need no test. A function can only be
called for each pair, by several threads: write it as a generic lambda of `(const auto& at)`.
)";
  return text;
}

TEST(AttentionSupport, IsWhatTheDocumentationSays) {
  const std::string path = HEED_SOURCE_FOLDER "/docs/attention_support.md", page = support_page();
  if (std::getenv("HEED_WRITE_DOCS")) std::ofstream(path) << page;
  std::ostringstream written;
  written << std::ifstream(path).rdbuf();
  EXPECT_EQ(written.str(), page) << path << " is not what the code decides: run this test with HEED_WRITE_DOCS=1";
}

}  // namespace

}  // namespace heed::attention
