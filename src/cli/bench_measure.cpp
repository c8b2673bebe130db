#include <heed/random.h>

#include <algorithm>

#include "base/clock.h"
#include "cli/bench.h"
#include "kernels/limits.h"

namespace heed::cli {

namespace {

struct Level {
  const char* name;
  std::int64_t bytes;  // a thread's
};
constexpr Level levels[] = {
    {"read_l1", 24 << 10}, {"read_l2", 512 << 10}, {"read_l3", 8 << 20}, {"read_memory", 256 << 20}};

std::int64_t level_of(double bytes, int threads) {
  for (const Level& level : levels)
    if (bytes <= static_cast<double>(level.bytes) * threads) return level.bytes;
  return levels[3].bytes;
}

/// The fewest seconds that the machine needs for the work now.
double least_seconds(const Work& work, ThreadPool& pool) {
  double seconds = 0.0;
  if (work.operations > 0.0) seconds = work.operations * 1e-9 / kernels::measure_multiply_adds(work.dtype, pool);
  if (work.bytes > 0.0)
    seconds = std::max(seconds, work.bytes * 1e-9 / kernels::measure_read(level_of(work.bytes, pool.threads()), pool));
  return seconds;
}

Timing median_and_spread(std::vector<double> samples) {
  std::sort(samples.begin(), samples.end());
  const std::size_t middle = samples.size() / 2;
  const double median = samples.size() % 2 == 1 ? samples[middle] : 0.5 * (samples[middle - 1] + samples[middle]);
  return {median, (samples.back() - samples.front()) / median};
}

/// A limit is the best of what was seen; its milliseconds are those of 10⁹ operations or bytes.
BenchResult best_of_three(const std::string& figure, const std::function<double()>& rate) {
  std::vector<double> times;
  for (int i = 0; i < 3; ++i) times.push_back(1e3 / rate());
  BenchResult result{
      median_and_spread(times), 0.0, {{figure, 1e3 / *std::min_element(times.begin(), times.end())}}, ""};
  result.limit_share = 1e3 / result.timing.ms / result.figures[0].second;
  return result;
}

}  // namespace

Timing Bench::time(const std::function<void()>& call, int repeats, double shortest) const {
  call();
  double start = now();
  call();
  const double once = now() - start;
  const auto calls = std::max<std::int64_t>(1, static_cast<std::int64_t>(shortest / std::max(once, 1e-7)));
  if (quick_) repeats = std::min(repeats, 3);
  std::vector<double> samples;
  for (int sample = 0; sample < repeats; ++sample) {
    start = now();
    for (std::int64_t i = 0; i < calls; ++i) call();
    samples.push_back((now() - start) / static_cast<double>(calls) * 1e3);
  }
  return median_and_spread(samples);
}

BenchResult Bench::measure(const Work& work, const std::function<void()>& call, int repeats, double shortest) const {
  const double before = least_seconds(work, pool_);
  BenchResult result;
  result.timing = time(call, repeats, shortest);
  result.limit_share = std::min(before, least_seconds(work, pool_)) * 1e3 / result.timing.ms;
  return result;
}

std::vector<BenchCase> limit_cases() {
  std::vector<BenchCase> cases;
  for (const DType dtype : {DType::float32, DType::bfloat16, DType::int8})
    cases.push_back({"limits", "multiply_adds", dtype, 0, [dtype](Bench& bench) {
                       return best_of_three("gflops",
                                            [&] { return kernels::measure_multiply_adds(dtype, bench.pool()); });
                     }});
  for (const Level& level : levels)
    cases.push_back({"limits", level.name, DType::float32, 0, [&level](Bench& bench) {
                       return best_of_three("gigabytes_per_second",
                                            [&] { return kernels::measure_read(level.bytes, bench.pool()); });
                     }});
  return cases;
}

Tensor random_tensor(Shape shape, DType dtype, std::uint64_t seed) {
  Tensor values(shape);
  for (std::int64_t i = 0; i < values.elements(); ++i)
    values.floats()[i] = normal(RandomKey{seed}, static_cast<std::uint64_t>(i));
  return dtype == DType::float32 ? values : values.to(dtype);
}

}  // namespace heed::cli
