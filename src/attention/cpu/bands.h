#pragma once
#include <cstdint>

namespace heed::attention {

/// A mask that kernels can test without calls: the union of bands. A band allows a query at position q the keys in
/// [max(q + low, first), min(q + high, end)).
struct Bands {
  static constexpr int most = 4;
  static constexpr std::int64_t unbounded = std::int64_t{1} << 29;  ///< positions are below; sums of two fit 32 bits
  struct Band {
    std::int64_t low = -unbounded, first = -unbounded, high = unbounded, end = unbounded;
  };
  int count = 0;  ///< 0: no query sees any key
  Band band[most];
};

}  // namespace heed::attention
