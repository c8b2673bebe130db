#include "attention/decode.h"

#include <algorithm>

#include "attention/cpu/decode.h"
#include "attention/problem.h"
#include "attention/workspace.h"

HEED_DECLARE_KERNELS(attention::Decode, attention_decode_kernel)

namespace heed::attention {

namespace {

constexpr kernels::Tables<Decode> decode_kernels = HEED_KERNEL_TABLES(attention_decode_kernel);

constexpr std::int64_t part_bytes = 1 << 20;  ///< keys and values that a part reads at least
constexpr std::int64_t most_parts = 128;      ///< of one sequence

std::int64_t bits_of(DType dtype) { return dtype == DType::q4 ? 4 : 8 * size_of(dtype); }

/// Heads that are decoded together, and where their partial results stand.
struct Group {
  std::vector<Head> heads;  ///< [key_value_heads, members]
  Decoding decoding;
  std::int64_t begin, end;  ///< keys that some query may see
  std::int64_t part;        ///< keys of a part
  std::int64_t partial;     ///< where the first part's results stand
  std::int64_t partial_size;  ///< of one part
  std::int64_t parts() const { return (end - begin + part - 1) / part; }
};

}  // namespace

}  // namespace heed::attention
