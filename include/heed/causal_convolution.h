#pragma once
#include <heed/state_sequence.h>
#include <heed/tensor.h>
#include <heed/thread_pool.h>

#include <vector>

namespace heed {

/// A causal convolution of each channel by itself over packed sequences, as it stands before linear attention and
/// selective state spaces (Gu & Dao 2023, arXiv:2312.00752):
///   y[t, c] = f(bias[c] + Σ_j weight[c, j] · x[t − (width − 1) + j, c]),   f the identity or SiLU.
/// What lies before a sequence's first row is its initial state, or zeros.
struct CausalConvolution {
  std::int64_t channels = 0;
  std::int64_t width = 0;         ///< of the kernel, 1 or more
  View input = {};                ///< x: [rows, channels], float32, bfloat16 or float16
  const float* weight = nullptr;  ///< [channels, width]; the last element meets the row itself
  const float* bias = nullptr;    ///< [channels] or null
  bool silu = false;
  /// States are the last rows of x that were read, oldest first: [width − 1, channels].
  std::vector<StateSequence> sequences = {};
};

/// Null or without memory: not wanted. Float32; input's is written, weight's and bias's are added to.
struct CausalConvolutionGradients {
  View input = {};
  float* weight = nullptr;
  float* bias = nullptr;
  std::vector<StateGradient> states = {};  ///< one a sequence, or none at all
};

/// output: [rows, channels], float32, bfloat16 or float16; not the input's memory. The same bits for any number of
/// threads. Throws Error when shapes do not fit.
void causal_convolution_forward(const CausalConvolution& problem, View output, ThreadPool& pool);
/// Gradients from `doutput` (float32); what stood before SiLU is computed again.
void causal_convolution_backward(const CausalConvolution& problem, View doutput,
                                 const CausalConvolutionGradients& gradients, ThreadPool& pool);

}  // namespace heed
