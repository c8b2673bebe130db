#include "cli/bench.h"
#include "kernels/matmul.h"

namespace heed::cli {

namespace {

/// y = x·Wᵀ of a layer: x is [rows, in], W is [out, in].
struct LinearShape {
  const char* name;
  std::int64_t rows, out, in;
};

// GPT-2 124M with 4 x 256 tokens, one token of it, Transformer-base with 32 x 64 tokens, a tiny decoder with 12 x 64.
constexpr LinearShape shapes[] = {
    {"gpt2_qkv", 1024, 2304, 768},     {"gpt2_out", 1024, 768, 768},      {"gpt2_up", 1024, 3072, 768},
    {"gpt2_down", 1024, 768, 3072},    {"gpt2_logits", 1024, 50257, 768}, {"gpt2_one_token_up", 1, 3072, 768},
    {"base_out", 2048, 512, 512},      {"base_up", 2048, 2048, 512},      {"base_down", 2048, 512, 2048},
    {"base_logits", 2048, 32000, 512}, {"tiny_qkv", 768, 384, 128},       {"tiny_up", 768, 512, 128},
    {"tiny_down", 768, 128, 512},
};

enum class Direction { forward, input_gradient, weight_gradient };

/// As a layer calls it: bfloat16 activations and rounded gradients over float32 weights, or all float32.
BenchResult measure_linear(const LinearShape& shape, Direction direction, DType dtype, Bench& bench) {
  const auto [name, rows, out, in] = shape;
  const Tensor weight = random_tensor({out, in}, DType::float32, 1);
  const Tensor x = random_tensor({rows, in}, dtype, 2), dy = random_tensor({rows, out}, dtype, 3);
  const Tensor y({rows, out}), dx({rows, in}), dweight({out, in});
  kernels::Matmul task;
  if (direction == Direction::forward)
    task = {.m = rows, .n = out, .k = in, .a = x.view(), .b = weight.view(), .b_transposed = true, .c = y.view()};
  else if (direction == Direction::input_gradient)
    task = {.m = rows, .n = in, .k = out, .a = dy.view(), .b = weight.view(), .c = dx.view()};
  else
    task = {.m = out, .n = in, .k = rows, .a = dy.view(), .a_transposed = true, .b = x.view(), .c = dweight.view()};
  task.product = dtype == DType::bfloat16 ? kernels::Product::bfloat16 : kernels::Product::float32;
  const double operations = 2.0 * static_cast<double>(rows * out * in);
  // The bytes matter for a single row, which reads the weight for every token.
  const double bytes = rows == 1 ? static_cast<double>(weight.bytes()) : 0.0;
  BenchResult result = bench.measure({dtype, operations, bytes}, [&] { kernels::matmul(task, bench.pool()); });
  result.figures = {{"gflops", operations / result.timing.ms * 1e-6}};
  return result;
}

}  // namespace

std::vector<BenchCase> matmul_cases() {
  std::vector<BenchCase> cases;
  for (const DType dtype : {DType::float32, DType::bfloat16})
    for (const LinearShape& shape : shapes)
      for (const auto& [direction, suffix] :
           {std::pair(Direction::forward, "_forward"), std::pair(Direction::input_gradient, "_input_gradient"),
            std::pair(Direction::weight_gradient, "_weight_gradient")})
        if (shape.rows > 1 || direction == Direction::forward)
          cases.push_back({"matmul", std::string(shape.name) + suffix, dtype, 0,
                           [&shape, direction = direction, dtype](Bench& bench) {
                             return measure_linear(shape, direction, dtype, bench);
                           }});
  return cases;
}

}  // namespace heed::cli
