#pragma once
#include "attention/linear/chunk.h"

namespace heed::attention::linear {

/// Where the gradients of one key-value head's rows go; all have memory.
struct HeadGradients {
  Rows doutput;  ///< given, as the head's outputs
  Rows query, key, value, decay, beta;
};

/// The backward of a chunk, with the names of chunk.h.
class ChunkBackward : Chunk {
 public:
  static std::int64_t floats(const LinearHead& head);
  ChunkBackward(Scratch& scratch, const LinearHead& head);
  /// `before` and `after`: the states around the chunk. dstate: the gradient of the state after it, and then of the
  /// state before it.
  void run(const LinearHead& head, float* before, const float* after, float* dstate, const HeadGradients& to);

 private:
  void through_outputs(const LinearHead& head, float* before, const HeadGradients& to);
  void through_state(const LinearHead& head, const float* after, float* dstate);
  void through_correction(const LinearHead& head, float* before, const HeadGradients& to);

  Rows dA_, du_;
  Rows dkey_as_row_;     ///< of k where it stands with what is before it (k̃, the rows of L)
  Rows dkey_as_column_;  ///< of k where it is written (k̄, the columns of A and L)
  Rows dfaded_;          ///< of q̃, k̃ or k̄
  Rows dstate_;          ///< of the state before the chunk
  Rows dsums_;           ///< of the running sums of the decays
};

}  // namespace heed::attention::linear
