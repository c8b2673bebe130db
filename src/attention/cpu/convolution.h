#pragma once
#include "attention/cpu/linear.h"

namespace heed::attention {

/// A causal convolution over one sequence. Its rows are numbered with the state before them: row p of the whole is row
/// p of the state for p < width − 1, else row p − (width − 1) of the input.
struct ConvolutionRows {
  Rows state, input;              ///< state without memory: zeros
  const float* weight = nullptr;  ///< [width, channels]
  const float* bias = nullptr;    ///< [channels] or null
  std::int64_t rows = 0, width = 0, channels = 0;
  bool silu = false;
};

struct ConvolutionGradients {
  Rows doutput;             ///< given
  Rows dfinal_state;        ///< given, or without memory: zeros
  Rows state, input;        ///< written, or without memory
  float* weight = nullptr;  ///< [width, channels], written
  float* bias = nullptr;    ///< [channels], written
};

struct ConvolutionKernels {
  /// Rows [begin, end) of the output.
  void (*forward)(const ConvolutionRows& rows, std::int64_t begin, std::int64_t end, Rows output);
  /// Gradients of rows [begin, end) of the whole, and what output rows [begin, end) give to weight and bias. scratch:
  /// [2·width vectors of 16].
  void (*backward)(const ConvolutionRows& rows, std::int64_t begin, std::int64_t end, const ConvolutionGradients& to,
                   float* scratch);
};

}  // namespace heed::attention
