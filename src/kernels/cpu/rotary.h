#pragma once
#include "kernels/rows.h"

namespace heed::kernels {

struct RotaryKernels {
  /// On all rows of the views given; as in rows.h. frequencies: base^(−2i/rotated); [rotated/2], or [rotated] with each
  /// one twice when interleaved.
  void (*rotate)(View x, const std::int32_t* positions, const double* frequencies, const Rotary& rotary, View y);
  /// The same with a row of cosines and sines for each position, [rotated/2].
  void (*rotate_by)(View x, const std::int32_t* positions, View cosines, View sines, const Rotary& rotary, View y);
};

}  // namespace heed::kernels
