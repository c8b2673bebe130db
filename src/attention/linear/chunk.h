#pragma once
// One chunk of rows of one key-value head, as matrix products. With P(s, t] the product of the decays of rows s+1 … t
// and S the state before the chunk, the recurrence unrolls into
//   output[t] = scale·(Σ_{s ≤ t} A[t][s]·u[s] + q̃[t]·S),     A[t][s] = Σ_d q[t,d]·k[s,d]·P(s, t]_d,  q̃[t] = q[t]·P(0,
//   t] u[t]      = v[t], or β[t]·(v[t] − k̃[t]·S − Σ_{s < t} L[t][s]·u[s]),   L as A with k for q S         ← P(0, n]·S
//   + Σ_s k̄[s]⊗u[s],                              k̄[s] = k[s]·P(s, n]
// (Yang et al. 2024, arXiv:2312.06635, section 4, and arXiv:2406.06484, section 3).
#include <heed/linear_attention.h>

#include "attention/cpu/linear.h"
#include "attention/workspace.h"

namespace heed::attention::linear {

inline constexpr std::int64_t chunk_rows = 64;

/// The kernels of the instruction set in use.
const LinearKernels& kernels();

/// C (+)= alpha·op(A)·op(B) of m, n and k, on the calling thread.
struct Product {
  Rows a;
  bool a_transposed = false;
  Rows b;
  bool b_transposed = false;
  Rows c;
  std::int64_t m, n, k;
  float alpha = 1.0f;
  bool accumulate = false;
};
void multiply(const Product& product);

/// Scratch memory of a piece of work, handed out part by part.
class Scratch {
 public:
  explicit Scratch(std::int64_t floats) : memory_(floats), next_(memory_.floats()) {}
  Rows take(std::int64_t rows, std::int64_t width) {
    const Rows part{next_, width};
    next_ += (rows * width + 15) / 16 * 16;
    return part;
  }

 private:
  Workspace memory_;
  float* next_;
};

/// Products of two rows with the decays between them, and what such products give back.
class DecayedProducts {
 public:
  static std::int64_t floats(int key_width);
  DecayedProducts(Scratch& scratch, int key_width);
  /// For the rows of `head`; its decays become `a`.
  void begin(const LinearHead& head);

  bool any() const { return any_; }
  /// Product over the whole chunk, [key_width] or [1]. After fade_back.
  const float* whole() const { return whole_.data; }
  /// A decay for all dimensions of the keys.
  bool one() const { return one_; }

  /// x[t]·P(0, t] and x[s]·P(s, n]: in `to`, or x itself where there are no decays.
  Rows fade(Rows x, Rows to) const;
  Rows fade_back(Rows x, Rows to) const;
  /// y[t] += x[t]·P(0, t], y[s] += x[s]·P(s, n].
  void add_faded(Rows x, Rows y) const;
  void add_faded_back(Rows x, Rows y) const;

  /// A[t][s] = Σ_d q[t,d]·k[s,d]·P(s, t]_d for s ≤ t (s < t when strict), else 0.
  void scores(Rows q, Rows k, bool strict, Rows A);
  /// Makes a gradient of A one of the products q·k where a decay for all dimensions can be taken out of them, and hides
  /// what A does not have. Before `add_rows` and `add_columns`.
  void take_out(Rows dA, bool strict) const;
  /// x[t,d] += Σ_s dA[t][s]·k[s,d]·P(s, t]_d.
  void add_rows(Rows dA, Rows k, bool strict, Rows x);
  /// y[s,d] += Σ_t dA[t][s]·q[t,d]·P(s, t]_d.
  void add_columns(Rows dA, Rows q, bool strict, Rows y);

 private:
  void advance(Rows k, std::int64_t begin, std::int64_t rows);

  int width_;
  std::int64_t rows_ = 0;
  bool any_ = false, one_ = false;
  Rows a_, between_, faded_rows_, faded_, line_, whole_, block_;
};

class Chunk {
 public:
  static std::int64_t floats(const LinearHead& head);
  Chunk(Scratch& scratch, const LinearHead& head);
  /// Moves `state` on; writes the outputs when the head has memory for them.
  void forward(const LinearHead& head, float* state);

 protected:
  /// u, from the state before the chunk.
  void solve(const LinearHead& head, float* state);
  /// The state after the chunk.
  void move(const LinearHead& head, float* state);

  DecayedProducts products_;
  Rows A_, L_, error_, written_, faded_, u_;
};

}  // namespace heed::attention::linear
