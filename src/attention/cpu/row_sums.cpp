#include "attention/cpu/row_sums.h"

#include "simd/vector.h"

// What statistics are made of: one pass over a row of weights.
namespace heed::HEED_ISA {

namespace {

/// Few enough that float32 loses nothing of note; these are summed in double.
constexpr std::int64_t stretch = 512;

void sums(const float* weights, std::int64_t count, std::int64_t position, attention::RowSums* sums) {
  *sums = {};
  for (std::int64_t at = 0; at < count; at += stretch) {
    const std::int64_t end = at + stretch < count ? at + stretch : count;
    F weight_sum = zero(), information = zero(), distance = zero();
    const float start = static_cast<float>(position - at);
    for (std::int64_t i = at; i < end; i += lanes) {
      const F weight = load(weights + i, static_cast<int>(end - i < lanes ? end - i : lanes));
      const F key = set1(static_cast<float>(i - at)) + __builtin_convertvector(iota(), F);
      weight_sum = weight_sum + weight;
      information = information + select(weight > zero(), weight * log(weight), zero());
      distance = fma(weight, absolute(set1(start) - key), distance);
    }
    sums->weights += static_cast<double>(reduce_add(weight_sum));
    sums->information += static_cast<double>(reduce_add(information));
    sums->distance += static_cast<double>(reduce_add(distance));
  }
}

}  // namespace

extern const attention::RowSumming attention_row_sums_kernel;
const attention::RowSumming attention_row_sums_kernel = {sums};

}  // namespace heed::HEED_ISA
