#include <heed/attention.h>
#include <heed/random.h>

#include "cli/bench.h"

namespace heed::cli {

namespace {

constexpr int heads = 12, head_width = 64;
constexpr std::int64_t width = heads * head_width;

enum class Look { full, causal, mask };

/// A boolean matrix, seven of ten true, that every head looks up.
Mask random_mask(std::int64_t length) {
  auto allowed = std::make_shared<std::vector<unsigned char>>(static_cast<std::size_t>(length * length));
  for (std::size_t i = 0; i < allowed->size(); ++i) (*allowed)[i] = uniform(RandomKey{7}, i) > 0.3f;
  return mask("random", [allowed, length](int, int, std::int64_t query, std::int64_t key) noexcept {
    return (*allowed)[static_cast<std::size_t>(query * length + key)] != 0;
  });
}

View columns(const Tensor& packed, std::int64_t index) {
  View view = packed.view();
  view.data = static_cast<char*>(view.data) + index * width * size_of(packed.dtype());
  view.width = width;
  return view;
}

/// One sequence; queries, keys and values side by side, as one product leaves them.
BenchResult measure_attention(Look look, bool backward, DType dtype, std::int64_t length, Bench& bench) {
  const Tensor packed = random_tensor({length, 3 * width}, dtype, 1);
  const Tensor doutput = random_tensor({length, width}, DType::float32, 2);
  const Tensor output({length, width}, dtype), log_sum_exp({heads, length}), gradients({length, 3 * width});
  AttentionProblem problem;
  if (look == Look::causal) problem.spec.mask = causal();
  if (look == Look::mask) problem.spec.mask = random_mask(length);
  problem.heads = problem.key_value_heads = heads;
  problem.head_width = problem.value_width = head_width;
  problem.query = columns(packed, 0);
  problem.key_value_dtype = dtype;
  problem.key_stride = problem.value_stride = 3 * width;
  problem.sequences = {{.query_count = length,
                        .key_count = length,
                        .spans = {{columns(packed, 1).data, columns(packed, 2).data, length}}}};
  const double products = backward ? 7.0 : 2.0;  // of S x S x d: scores and outputs; with gradients five more
  const double operations = products * 2.0 * static_cast<double>(length) * static_cast<double>(length * width);
  const double needed = look == Look::causal ? 0.5 * (1.0 + 1.0 / static_cast<double>(length)) : 1.0;
  BenchResult result = bench.measure(
      {dtype, needed * operations, 0.0},
      [&] {
        attention_forward(problem, output.view(), backward ? log_sum_exp.floats() : nullptr, bench.pool());
        if (backward)
          attention_backward(
              problem, output.view(), log_sum_exp.floats(), doutput.view(),
              {.query = columns(gradients, 0), .key = columns(gradients, 1), .value = columns(gradients, 2)},
              bench.pool());
      },
      backward ? 5 : 7);
  result.figures = {{"gflops", operations / result.timing.ms * 1e-6}};
  return result;
}

/// One token of a session: 32 heads look at a cache of 8 heads' keys and values.
BenchResult measure_decode(DType dtype, std::int64_t length, Bench& bench) {
  constexpr int query_heads = 32, shared_heads = 8, wide = 128;
  const Tensor keys = random_tensor({length, shared_heads * wide}, dtype, 1);
  const Tensor values = random_tensor({length, shared_heads * wide}, dtype, 2);
  const Tensor query = random_tensor({1, query_heads * wide}, dtype, 3);
  const Tensor output({1, query_heads * wide}, dtype);
  KeyValueCache cache(shared_heads * wide, shared_heads * wide, dtype);
  cache.append(keys.view(), values.view());
  const auto step = [&] {
    AttentionProblem problem;
    problem.spec.mask = causal();
    problem.heads = query_heads;
    problem.key_value_heads = shared_heads;
    problem.head_width = problem.value_width = wide;
    problem.query = query.view();
    problem.key_value_dtype = dtype;
    problem.key_stride = problem.value_stride = shared_heads * wide;
    problem.sequences = {{.query_count = 1, .query_position = length - 1, .key_count = length, .spans = cache.spans()}};
    attention_forward(problem, output.view(), nullptr, bench.pool());
  };
  const double operations = 4.0 * query_heads * wide * static_cast<double>(length);
  const double bytes = static_cast<double>(keys.bytes() + values.bytes());
  BenchResult result = bench.measure({dtype, operations, bytes}, step);
  result.figures = {{"gflops", operations / result.timing.ms * 1e-6},
                    {"gigabytes_per_second", bytes / result.timing.ms * 1e-6}};
  result.note = heed::format("{} GB/s", static_cast<int>(result.figures[1].second));
  return result;
}

}  // namespace

std::vector<BenchCase> attention_cases(const std::vector<std::int64_t>& lengths) {
  std::vector<BenchCase> cases;
  for (const DType dtype : {DType::float32, DType::bfloat16}) {
    for (const std::int64_t length : lengths)
      for (const auto& [look, suffix] :
           {std::pair(Look::full, "full"), std::pair(Look::causal, "causal"), std::pair(Look::mask, "mask")})
        for (const bool backward : {false, true})
          cases.push_back({"attention", (backward ? "forward_backward_" : "forward_") + std::string(suffix), dtype,
                           length, [look = look, backward, dtype, length](Bench& bench) {
                             return measure_attention(look, backward, dtype, length, bench);
                           }});
    constexpr std::int64_t cached = 16384;
    cases.push_back({"attention", "decode_32_heads_over_8_dim_128", dtype, cached,
                     [dtype](Bench& bench) { return measure_decode(dtype, cached, bench); }});
  }
  return cases;
}

}  // namespace heed::cli
