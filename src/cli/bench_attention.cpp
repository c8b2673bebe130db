#include <heed/attention.h>
#include <unistd.h>

#include <algorithm>

#include "cli/attention_bench.h"

namespace heed::cli {

namespace {

/// Bytes that do not fit into any cache: what is read in turn over so many is read from memory.
std::int64_t beyond_caches() {
  const long last_level = sysconf(_SC_LEVEL3_CACHE_SIZE);
  return 4 * std::max<std::int64_t>(last_level, std::int64_t{32} << 20);
}

/// One token of a session: 32 heads look at a cache of 8 heads' keys and values. As many sessions take turns as make
/// each token's keys come from memory.
BenchResult measure_decode(DType dtype, std::int64_t length, Bench& bench) {
  constexpr int query_heads = 32, shared_heads = 8, wide = 128;
  const Tensor rows = random_tensor({length, shared_heads * wide}, DType::float32, 1);
  const Tensor query = random_tensor({1, query_heads * wide}, dtype == DType::int8 ? DType::float32 : dtype, 3);
  const Tensor output({1, query_heads * wide}, query.dtype());
  std::vector<KeyValueCache> caches;
  for (std::int64_t bytes = 0; bytes < (bench.quick() ? 1 : beyond_caches()); bytes += caches.back().bytes()) {
    caches.emplace_back(shared_heads * wide, shared_heads * wide, dtype, shared_heads);
    caches.back().append(rows.view(), rows.view());
  }
  std::vector<AttentionProblem> problems;
  for (const KeyValueCache& cache : caches) {
    AttentionProblem problem;
    problem.spec.mask = causal();
    problem.heads = query_heads;
    problem.key_value_heads = shared_heads;
    problem.head_width = problem.value_width = wide;
    problem.query = query.view();
    problem.key_value_dtype = dtype;
    problem.key_stride = problem.value_stride = shared_heads * wide;
    problem.sequences = {{.query_count = 1, .query_position = length - 1, .key_count = length, .spans = cache.spans()}};
    problems.push_back(std::move(problem));
  }
  std::size_t next = 0;
  const double operations = 4.0 * query_heads * wide * static_cast<double>(length);
  const auto bytes = static_cast<double>(caches.front().bytes());
  BenchResult result = bench.measure({query.dtype(), operations, bytes}, [&] {
    attention_forward(problems[next++ % problems.size()], output.view(), nullptr, bench.pool());
  });
  result.figures = {{"gflops", operations / result.timing.ms * 1e-6},
                    {"gigabytes_per_second", bytes / result.timing.ms * 1e-6}};
  result.note = heed::format("{} GB/s", static_cast<int>(result.figures[1].second));
  return result;
}

struct NamedSpec {
  const char* name;  ///< behind forward_ or forward_backward_
  const char* spec;
};

/// At every length: names that other programs' benchmarks use, then what changes the plain case.
constexpr NamedSpec at_each_length[] = {
    {"full", ""},
    {"causal", "mask=causal"},
    {"mask", "mask=random"},
    {"full_dim_128", "width=128"},
    {"dropout", "dropout=0.1"},
    {"soft_cap", "soft_cap=30"},
    {"soft_cap_as_rule", "rule=soft_cap"},
    {"alibi", "slopes=1"},
    {"alibi_as_rule", "rule=alibi"},
};

}  // namespace

std::vector<BenchCase> attention_cases(const std::vector<std::int64_t>& lengths) {
  std::vector<BenchCase> cases;
  const auto add = [&](const std::string& name, const std::string& spec, bool backward, DType dtype,
                       std::int64_t length) {
    cases.push_back({"attention", name, dtype, length, [=](Bench& bench) {
                       AttentionShape shape = attention_shape_of(spec, length);
                       shape.backward = backward;
                       return measure_attention(shape, dtype, bench);
                     }});
  };
  for (const DType dtype : {DType::float32, DType::bfloat16}) {
    for (const std::int64_t length : lengths)
      for (const NamedSpec& each : at_each_length)
        for (const bool backward : {false, true})
          add((backward ? "forward_backward_" : "forward_") + std::string(each.name), each.spec, backward, dtype,
              length);
    add("forward_backward_causal_batch_32_8_heads", "mask=causal,batch=32,heads=8", true, dtype, 64);
    for (const char* mask : {"causal", "causal & window(512)"})
      add(mask == std::string("causal") ? "forward_causal_long" : "forward_causal_window_512",
          heed::format("mask={}", mask), false, dtype, 8192);
  }
  add("forward_backward_causal_one_head", "mask=causal,heads=1", true, DType::float32, 131072);
  add("additive_forward_backward_batch_4_width_256", "score=additive,batch=4,heads=1,width=256", true, DType::float32,
      512);
  constexpr std::int64_t cached = 16384;
  for (const DType dtype : {DType::float32, DType::bfloat16, DType::int8})
    cases.push_back({"attention", "decode_32_heads_over_8_dim_128", dtype, cached,
                     [dtype](Bench& bench) { return measure_decode(dtype, cached, bench); }});
  return cases;
}

std::vector<BenchCase> attention_cases_of(const std::string& spec, const std::vector<std::int64_t>& lengths) {
  std::vector<BenchCase> cases;
  for (const DType dtype : {DType::float32, DType::bfloat16})
    for (const std::int64_t length : lengths)
      for (const bool backward : {false, true}) {
        attention_shape_of(spec, length);  // what is wrong is said before anything is measured
        cases.push_back(
            {"attention", backward ? "forward_backward_spec" : "forward_spec", dtype, length, [=](Bench& bench) {
               AttentionShape shape = attention_shape_of(spec, length);
               shape.backward = backward;
               return measure_attention(shape, dtype, bench);
             }});
      }
  return cases;
}

}  // namespace heed::cli
