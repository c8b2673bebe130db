// Decoding from a paged cache of int8: a prompt in one call, then token by token, beside the same with float32. Eight
// query heads share two heads of keys and values. A model would make queries, keys and values; here they are drawn.
#include <heed/attention.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

constexpr int heads = 8, key_value_heads = 2, width = 64;
constexpr std::int64_t prompt = 500, tokens = 540;

heed::Tensor drawn(heed::Shape shape, std::uint64_t seed) {
  const heed::Tensor result(shape);
  for (std::int64_t i = 0; i < result.elements(); ++i)
    result.floats()[i] = heed::normal(heed::RandomKey{seed}, static_cast<std::uint64_t>(i));
  return result;
}

int main() {
  heed::ThreadPool pool;
  const heed::Tensor query = drawn({tokens, heads * width}, 1), key = drawn({tokens, key_value_heads * width}, 2),
                     value = drawn({tokens, key_value_heads * width}, 3);
  heed::AttentionProblem problem;
  problem.spec.mask = heed::causal() & (heed::window(256) | heed::first_keys(4));
  problem.heads = heads;
  problem.key_value_heads = key_value_heads;
  problem.head_width = problem.value_width = width;
  problem.key_stride = problem.value_stride = key_value_heads * width;
  problem.sequences.resize(1);

  const auto decode = [&](heed::KeyValueCache cache) {
    const heed::Tensor output({tokens, heads * width});
    problem.key_value_dtype = cache.dtype();
    for (std::int64_t begin = 0, end = prompt; begin < tokens; begin = end++) {
      cache.append(key.slice(begin, end).view(), value.slice(begin, end).view());
      problem.query = query.slice(begin, end).view();
      heed::AttentionSequence& sequence = problem.sequences[0];
      sequence.query_count = end - begin;
      sequence.query_position = begin;
      sequence.key_count = cache.length();
      sequence.spans = cache.spans();
      heed::attention_forward(problem, output.slice(begin, end).view(), nullptr, pool);
    }
    std::printf("%s: %d rows in %d spans, %d bytes\n", std::string(heed::name_of(cache.dtype())).c_str(),
                static_cast<int>(cache.length()), static_cast<int>(cache.spans().size()),
                static_cast<int>(cache.bytes()));
    return output;
  };
  std::printf("%s\n", problem.spec.text().c_str());
  const heed::Tensor exact = decode({key_value_heads * width, key_value_heads * width, heed::DType::float32});
  const heed::Tensor rounded = decode({key_value_heads * width, key_value_heads * width, heed::DType::bfloat16});

  float largest = 0.0f, difference = 0.0f;
  for (std::int64_t i = 0; i < exact.elements(); ++i) {
    largest = std::max(largest, std::abs(exact.floats()[i]));
    difference = std::max(difference, std::abs(rounded.floats()[i] - exact.floats()[i]));
  }
  std::printf("largest output %.3f, largest difference %.5f\n", largest, difference);
  return difference < 0.02f * largest ? 0 : 1;
}
