// Decoding from a paged cache of int8: a prompt in one call, then token by token, beside the same with float32. Eight
// query heads share two heads of keys and values. A model would make queries, keys and values; here they are drawn.
#include <heed/attention.h>
#include <heed/key_value_cache.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

constexpr int heads = 8, shared_heads = 2, width = 64, row_width = shared_heads * width;
constexpr std::int64_t prompt = 500, tokens = 540;

heed::Tensor drawn(heed::Shape shape, std::uint64_t seed) {
  const heed::Tensor result(shape);
  for (std::int64_t i = 0; i < result.elements(); ++i)
    result.floats()[i] = heed::normal(heed::RandomKey{seed}, static_cast<std::uint64_t>(i));
  return result;
}

int main() {
  heed::ThreadPool pool;
  const heed::Tensor query = drawn({tokens, heads * width}, 1), key = drawn({tokens, row_width}, 2),
                     value = drawn({tokens, row_width}, 3);
  // Rows of int8 have a scale for each token and head.
  heed::KeyValueCache cache(row_width, row_width, heed::DType::int8, shared_heads);
  heed::KeyValueCache exact_cache(row_width, row_width, heed::DType::float32);

  heed::AttentionProblem problem;
  problem.spec.mask = heed::causal() & (heed::window(256) | heed::first_keys(4));
  problem.heads = heads, problem.key_value_heads = shared_heads;
  problem.head_width = problem.value_width = width;
  problem.key_stride = problem.value_stride = row_width;
  problem.sequences.resize(1);
  const auto attend = [&](const heed::KeyValueCache& from, heed::DType dtype, const heed::Tensor& output) {
    problem.key_value_dtype = dtype;
    problem.sequences[0].spans = from.spans();
    heed::attention_forward(problem, output.view(), nullptr, pool);
  };
  float largest = 0.0f, difference = 0.0f;
  for (std::int64_t begin = 0, end = prompt; begin < tokens; begin = end++) {
    for (heed::KeyValueCache* one : {&cache, &exact_cache})
      one->append(key.slice(begin, end).view(), value.slice(begin, end).view());
    problem.query = query.slice(begin, end).view();
    problem.sequences[0] = {.query_count = end - begin, .query_position = begin, .key_count = end};
    const heed::Tensor output({end - begin, heads * width}), exact({end - begin, heads * width});
    attend(cache, heed::DType::int8, output);
    attend(exact_cache, heed::DType::float32, exact);
    for (std::int64_t i = 0; i < exact.elements(); ++i) {
      largest = std::max(largest, std::abs(exact.floats()[i]));
      difference = std::max(difference, std::abs(output.floats()[i] - exact.floats()[i]));
    }
  }
  std::printf("%s\n%d tokens in pages of int8\n", problem.spec.text().c_str(), static_cast<int>(tokens));
  std::printf("largest output %.3f, largest difference to float32 %.4f\n", largest, difference);
  return difference > 0.0f && difference < 0.02f * largest ? 0 : 1;
}
