// Decoding from a paged cache of int8: a prompt in one call, then token by token, beside the same with float32. Eight
// query heads share two heads of keys and values. A model would make queries, keys and values; here they are drawn.
#include <heed/attention.h>
#include <heed/page_pool.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

constexpr int heads = 8, shared_heads = 2, width = 64, row_width = shared_heads * width;
constexpr std::int64_t prompt = 500, tokens = 540, page_rows = 16, pages = 40;

heed::Tensor drawn(heed::Shape shape, std::uint64_t seed) {
  const heed::Tensor result(shape);
  for (std::int64_t i = 0; i < result.elements(); ++i)
    result.floats()[i] = heed::normal(heed::RandomKey{seed}, static_cast<std::uint64_t>(i));
  return result;
}

/// A row as int8 with a scale a head, into row `to` of a pool's tensors.
void quantise(const float* row, std::int64_t to, const heed::Tensor& integers, const heed::Tensor& scales) {
  for (std::int64_t head = 0; head < shared_heads; ++head, row += width) {
    float largest = 1e-20f;
    for (int i = 0; i < width; ++i) largest = std::max(largest, std::abs(row[i]));
    scales.floats()[to * shared_heads + head] = largest / 127.0f;
    for (int i = 0; i < width; ++i)
      integers.as<std::int8_t>()[to * row_width + head * width + i] =
          static_cast<std::int8_t>(std::lround(row[i] * 127.0f / largest));
  }
}

int main() {
  heed::ThreadPool pool;
  const heed::Tensor query = drawn({tokens, heads * width}, 1), key = drawn({tokens, row_width}, 2),
                     value = drawn({tokens, row_width}, 3);
  const auto integers = [] { return heed::Tensor({pages, page_rows, row_width}, heed::DType::int8); };
  const auto scales = [] { return heed::Tensor({pages, page_rows, shared_heads}); };
  const heed::PagePool cache{integers(), integers(), scales(), scales()};
  std::vector<std::int32_t> table;  // the sequence's pages; the pool's last is taken first
  heed::KeyValueCache exact_cache(row_width, row_width, heed::DType::float32);

  heed::AttentionProblem problem;
  problem.spec.mask = heed::causal() & (heed::window(256) | heed::first_keys(4));
  problem.heads = heads, problem.key_value_heads = shared_heads;
  problem.head_width = problem.value_width = width;
  problem.key_stride = problem.value_stride = row_width;
  problem.sequences.resize(1);
  float largest = 0.0f, difference = 0.0f;
  for (std::int64_t begin = 0, end = prompt; begin < tokens; begin = end++) {
    exact_cache.append(key.slice(begin, end).view(), value.slice(begin, end).view());
    for (std::int64_t t = begin; t < end; ++t) {
      if (t % page_rows == 0) table.push_back(static_cast<std::int32_t>(pages - 1 - t / page_rows));
      const std::int64_t row = table.back() * page_rows + t % page_rows;
      quantise(key.floats() + t * row_width, row, cache.key, cache.key_scale);
      quantise(value.floats() + t * row_width, row, cache.value, cache.value_scale);
    }
    const heed::Tensor output({end - begin, heads * width}), exact({end - begin, heads * width});
    problem.query = query.slice(begin, end).view();
    heed::AttentionSequence& sequence = problem.sequences[0];
    sequence.query_count = end - begin, sequence.query_position = begin, sequence.key_count = end;
    problem.key_value_dtype = heed::DType::int8;
    sequence.spans = cache.spans(table, end);
    heed::attention_forward(problem, output.view(), nullptr, pool);
    problem.key_value_dtype = heed::DType::float32;
    sequence.spans = exact_cache.spans();
    heed::attention_forward(problem, exact.view(), nullptr, pool);
    for (std::int64_t i = 0; i < exact.elements(); ++i) {
      largest = std::max(largest, std::abs(exact.floats()[i]));
      difference = std::max(difference, std::abs(output.floats()[i] - exact.floats()[i]));
    }
  }
  std::printf("%s\n%d tokens in %d pages of int8\n", problem.spec.text().c_str(), static_cast<int>(tokens),
              static_cast<int>(table.size()));
  std::printf("largest output %.3f, largest difference to float32 %.4f\n", largest, difference);
  return difference > 0.0f && difference < 0.02f * largest ? 0 : 1;
}
