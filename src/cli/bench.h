#pragma once
#include <heed/tensor.h>
#include <heed/thread_pool.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace heed::cli {

/// Milliseconds of one call: the median of several samples, and (largest − smallest) / median of them.
struct Timing {
  double ms = 0.0, spread = 0.0;
};

/// What one case gave. `figures`: "gflops", "tokens_per_second", "gigabytes_per_second", "peak_gb", …, the first one
/// for the table; `note` is for the table too.
struct BenchResult {
  Timing timing;
  double limit_share = 0.0;
  std::vector<std::pair<std::string, double>> figures;
  std::string note;
};

/// What a call cannot do without: the operations (a multiply-add is two) of its products, of factors of this type, and
/// the bytes that it must read and write.
struct Work {
  DType dtype = DType::float32;
  double operations = 0.0;
  double bytes = 0.0;
};

/// Times calls and sets them beside what the machine can do at that moment.
class Bench {
 public:
  Bench(ThreadPool& pool, bool quick) : pool_(pool), quick_(quick) {}
  ThreadPool& pool() { return pool_; }
  bool quick() const { return quick_; }

  /// After a warm-up, the median of `repeats` samples (fewer when quick) of at least `shortest` seconds each.
  Timing time(const std::function<void()>& call, int repeats, double shortest) const;
  /// The same with the share of the limit: the time that the work needs at the rates measured just before and just
  /// after the call (the larger of both), by the slower of products and memory, over the time that it took. The rate of
  /// reading is that of the smallest level of memory which holds a thread's share of the bytes.
  BenchResult measure(const Work& work, const std::function<void()>& call, int repeats = 7,
                      double shortest = 0.05) const;

 private:
  ThreadPool& pool_;
  bool quick_;
};

struct BenchCase {
  std::string group, name;
  DType dtype = DType::float32;
  std::int64_t length = 0;  ///< of attention's sequences, else 0
  std::function<BenchResult(Bench&)> measure;
};

// The groups. Names of attention and training cases are those that other programs' benchmarks use for the same shapes.
std::vector<BenchCase> limit_cases();
std::vector<BenchCase> matmul_cases();
/// Lengths of the cases without a cache.
std::vector<BenchCase> attention_cases(const std::vector<std::int64_t>& lengths);
/// Forward and with gradients of a spec that a person wrote (cli/attention_bench.h).
std::vector<BenchCase> attention_cases_of(const std::string& spec, const std::vector<std::int64_t>& lengths);
/// Each runs in a process of its own, so that the peak memory is its own.
std::vector<BenchCase> training_cases();
/// Every operator of a GPT-2 training step, forward and backward, alone.
std::vector<BenchCase> operator_cases();

std::vector<std::string> training_case_names();
/// A training case in this process.
BenchResult measure_training(const std::string& name, DType dtype, Bench& bench);
/// Losses of the first steps of a training case without dropout: before step 1, 2, …. `weights`: a safetensors file
/// with heed's names, or empty (weights of a fixed seed); `tokens`: an .npy file of int32 or int64 [sequences, length]
/// of the case's shape, or empty (random ones). For comparing with another program.
std::vector<double> training_losses(const std::string& name, DType dtype, const std::filesystem::path& weights,
                                    const std::filesystem::path& tokens, int steps, ThreadPool& pool);

/// Elements from a normal distribution, the same in every run.
Tensor random_tensor(Shape shape, DType dtype, std::uint64_t seed);

}  // namespace heed::cli
