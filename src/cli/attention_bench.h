#pragma once
#include <heed/attention.h>

#include <memory>
#include <string>
#include <vector>

#include "cli/bench.h"

namespace heed::cli {

/// An attention to be measured: its spec and shapes. Queries, keys and values lie side by side, as one product leaves
/// them.
struct AttentionShape {
  AttentionSpec spec;
  int heads = 12, key_value_heads = 12, width = 64, value_width = 64;
  std::int64_t batch = 1, length = 0;
  bool backward = false;
  bool slopes = false;    ///< ALiBi, built in
  bool relative = false;  ///< a learned bias for each distance up to 128
};

/// A spec and shapes as a person writes them: entries "key=value" separated by commas, for instance
/// "score=cosine,scale=10,mask=causal & window(512),heads=16,width=128". Throws Error that names what is wrong.
///   score        scaled_dot, dot, bilinear, cosine, euclidean, additive
///   normaliser   softmax, softmax_zero, softmax_sink, sigmoid, sparsemax, entmax15
///   mask         causal, causal(n), window(n), first_keys(n), dilated(n), random (7 of 10 pairs), joined by & | ! ( )
///   rule         soft_cap (30·tanh(score/30)), alibi (0.05·|query − key|): as custom scores
///   scale, soft_cap, dropout, heads, key_value_heads, width, value_width, batch; slopes=1, relative=1
AttentionShape attention_shape_of(const std::string& text, std::int64_t length);

/// Of a mask: the same grammar alone. `length` is that of the random matrix.
Mask mask_of(const std::string& text, std::int64_t length);

/// Times it, against the products of the pairs that the mask leaves.
BenchResult measure_attention(const AttentionShape& shape, DType dtype, Bench& bench);

}  // namespace heed::cli
