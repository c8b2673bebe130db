#pragma once
#include <heed/generation_config.h>
#include <heed/random.h>

#include <cstdint>
#include <span>
#include <vector>

namespace heed {

/// Chooses the next token from a row of logits. In this order: the repetition penalty on the logits of tokens already
/// there (Keskar et al. 2019, arXiv:1909.05858, section 4.1; divided when positive, multiplied when negative); then,
/// without `sample` or at temperature 0, the largest, the first of equals. Otherwise temperature, top-k, top-p
/// (Holtzman et al. 2020, arXiv:1904.09751) on what top-k leaves, min-p (Nguyen et al. 2024, arXiv:2407.01082), and a
/// draw. At least one token passes every filter. Where logits are equal, smaller ids go first.
///
/// Keeps memory between calls: one for each thread.
class Sampler {
 public:
  struct Candidate {
    std::int32_t token = 0;
    double probability = 0.0;
  };

  explicit Sampler(const GenerationConfig& config);

  /// The token at `position` of the sequence that the key is of: the draw depends on these two alone. Throws Error when
  /// no logit is finite, or one is +∞.
  std::int32_t next(std::span<const float> logits, std::span<const std::int32_t> seen, RandomKey key,
                    std::uint64_t position);
  /// What `next` draws from: the tokens that pass the filters, with probabilities that sum to 1. One when greedy.
  std::span<const Candidate> candidates(std::span<const float> logits, std::span<const std::int32_t> seen);

 private:
  std::span<const float> penalised(std::span<const float> logits, std::span<const std::int32_t> seen);
  void keep_top_k();
  void keep_top_p();
  void keep_min_p();

  GenerationConfig config_;
  std::vector<float> penalised_;
  std::vector<Candidate> candidates_;
};

}  // namespace heed
