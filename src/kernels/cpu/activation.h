#pragma once
#include "kernels/rows.h"

namespace heed::kernels {

/// Activations and gated units on all rows of the views given; as in rows.h.
struct ActivationKernels {
  void (*activate)(Activation kind, View x, View y);
  void (*activate_backward)(Activation kind, View x, View dy, View dx, bool accumulate);
  void (*gate)(Activation kind, View x, View y);
  void (*gate_backward)(Activation kind, View x, View dy, View dx, bool accumulate);
};

}  // namespace heed::kernels
