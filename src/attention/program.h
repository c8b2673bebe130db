#pragma once
#include <heed/attention.h>

#include <memory>
#include <vector>

#include "attention/cpu/rules.h"

namespace heed::attention {

/// A spec's rule and mask compiled for kernels, and the memory that the program points to. Parameters are bound by
/// their data: compile again when the tensors are others. Made in some microseconds.
class Rules {
 public:
  /// With `backward`, also derivatives and gradients of parameters. Throws Error when a parameter is missing, not
  /// float32 or of another rank than it is looked up by.
  Rules(const AttentionSpec& spec, const std::vector<Tensor>& parameters, bool backward);
  ~Rules();
  Rules(const Rules&) = delete;
  Rules& operator=(const Rules&) = delete;
  const Program& program() const { return program_; }

 private:
  struct Memory;
  std::unique_ptr<Memory> memory_;
  Program program_;
};

}  // namespace heed::attention
