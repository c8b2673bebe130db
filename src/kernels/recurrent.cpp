#include "kernels/recurrent.h"

#include <algorithm>

#include "kernels/cpu/recurrent.h"
#include "kernels/dispatch.h"
#include "kernels/rows_pieces.h"

HEED_DECLARE_KERNELS(kernels::RecurrentKernels, recurrent_kernels)

namespace heed::kernels {

namespace {

constexpr Tables<RecurrentKernels> tables = HEED_KERNEL_TABLES(recurrent_kernels);

std::int64_t padded(std::int64_t width) {
  return (width + recurrent_padding - 1) / recurrent_padding * recurrent_padding;
}

/// Floats of packed weights, with what fills panels up.
std::int64_t packed_floats(const Recurrence& direction) {
  return gates_of(direction.cell) * (padded(direction.hidden) + 1) * padded(direction.hidden);
}
/// Floats of scratch a sequence: three rows of operands or one of the gates', and four more.
std::int64_t row_floats(const Recurrence& direction) {
  return padded(gates_of(direction.cell) * direction.hidden) + 6 * padded(direction.hidden);
}

/// Every sequence has one step: the general product makes those of all of them, by threads that share out U, which is
/// not worth packing.
bool is_one_step(const Recurrence& direction, std::span<const RecurrentRun> runs) {
  return direction.cell != RecurrentCell::gru &&
         std::all_of(runs.begin(), runs.end(), [](const RecurrentRun& run) { return run.length == 1; });
}

/// Sequences of a direction that a thread goes through, longest first.
struct Share {
  std::vector<std::int64_t> first, length, number;
  RecurrentPiece piece;
};

class Shares {
 public:
  Shares(std::span<const Recurrence> directions, std::span<const RecurrentRun> runs, bool backward, float* scratch,
         ThreadPool& pool)
      : directions_(directions), pool_(pool), one_step_(is_one_step(directions[0], runs)) {
    std::vector<RecurrentRun> sorted(runs.begin(), runs.end());
    std::stable_sort(sorted.begin(), sorted.end(),
                     [](const RecurrentRun& a, const RecurrentRun& b) { return a.length > b.length; });
    const auto count = static_cast<std::int64_t>(sorted.size()), sides = static_cast<std::int64_t>(directions.size());
    // Two sequences at least, for each reads all of the weights at each step.
    each_ = one_step_ ? 1
                      : std::clamp<std::int64_t>((pool.threads() + sides - 1) / sides, 1,
                                                 std::max<std::int64_t>(1, count / 2));
    shares_.resize(static_cast<std::size_t>(each_ * sides));
    for (std::int64_t side = 0; side < sides; ++side) {
      const Recurrence& direction = directions[static_cast<std::size_t>(side)];
      float* const packed = scratch;
      scratch += one_step_ ? 0 : packed_floats(direction);
      for (std::int64_t i = 0; i < each_; ++i) {
        Share& share = shares_[static_cast<std::size_t>(side * each_ + i)];
        // Dealt out like cards, so that shares are of the same lengths.
        for (std::int64_t s = i; s < count; s += each_) {
          const RecurrentRun& run = sorted[static_cast<std::size_t>(s)];
          share.first.push_back(direction.reversed ? run.first + run.length - 1 : run.first);
          share.length.push_back(run.length);
          share.number.push_back(run.number);
        }
        scratch = place(share, direction, one_step_ ? nullptr : packed, backward, scratch);
      }
    }
    if (!one_step_)
      pool.parallel_for(sides, [&](std::int64_t side) {
        const auto index = static_cast<std::size_t>(side);
        tables.best().pack(directions[index], backward, const_cast<float*>(shares_[index * each()].piece.packed));
      });
  }

  bool one_step() const { return one_step_; }
  /// work(share, direction's index) on every share, side by side; of a single step in turn, for its products take all
  /// threads.
  template <class Work>
  void run(Work&& work) {
    const auto count = static_cast<std::int64_t>(shares_.size());
    const auto one = [&](std::int64_t i) {
      work(shares_[static_cast<std::size_t>(i)], static_cast<std::size_t>(i / each_));
    };
    if (!one_step_) return pool_.parallel_for(count, one);
    for (std::int64_t i = 0; i < count; ++i) one(i);
  }

 private:
  std::size_t each() const { return static_cast<std::size_t>(each_); }
  static float* place(Share& share, const Recurrence& direction, const float* packed, bool backward, float* scratch) {
    RecurrentPiece& piece = share.piece;
    piece.rows = static_cast<std::int64_t>(share.first.size());
    piece.first = share.first.data();
    piece.length = share.length.data();
    piece.number = share.number.data();
    piece.packed = packed;
    piece.stride = padded(direction.hidden);
    piece.gate_stride = padded(gates_of(direction.cell) * direction.hidden);
    const auto take = [&](std::int64_t width) {
      float* const taken = scratch;
      scratch += piece.rows * width;
      return taken;
    };
    piece.carry = take(piece.stride);
    piece.reset = take(piece.stride);
    piece.operand[0] = take(backward ? piece.gate_stride : piece.stride);
    if (backward) {
      piece.dstate = take(piece.stride);
    } else {
      piece.operand[1] = take(piece.stride);
      piece.products = take(piece.gate_stride);
    }
    return scratch;
  }

  std::span<const Recurrence> directions_;
  ThreadPool& pool_;
  bool one_step_;
  std::int64_t each_ = 1;
  std::vector<Share> shares_;
};

/// Sequences of the share that are longer than `step`: the first ones.
std::int64_t active_at(const Share& share, std::int64_t step, std::int64_t active) {
  while (active > 0 && share.length[static_cast<std::size_t>(active - 1)] <= step) --active;
  return active;
}

/// The products of the only step: h·Uᵀ. Rows of the gates are the sequences.
void multiply_once(const Recurrence& direction, const RecurrentPiece& piece, ThreadPool& pool) {
  const std::int64_t width = gates_of(direction.cell) * direction.hidden;
  float* const products = const_cast<float*>(piece.products);
  if (!direction.initial.data) {
    std::fill_n(products, piece.rows * width, 0.0f);
    return;
  }
  matmul({.m = piece.rows,
          .n = width,
          .k = direction.hidden,
          .a = columns_of(direction.initial, 0, direction.hidden),
          .b = direction.weight,
          .b_transposed = true,
          .c = {products, DType::float32, piece.rows, width, width},
          .product = direction.product},
         pool);
}

/// The gradient of the state before the only step.
void multiply_once_backward(const Recurrence& direction, const RecurrenceGradients& to, const RecurrentPiece& piece,
                            ThreadPool& pool) {
  const std::int64_t hidden = direction.hidden, width = gates_of(direction.cell) * hidden;
  const std::int64_t alike = direction.cell == RecurrentCell::gru_reset_after ? 2 * hidden : width;
  Matmul task{.m = piece.rows,
              .n = hidden,
              .k = alike,
              .a = columns_of(to.dgates, 0, alike),
              .b = direction.weight,
              .c = {piece.dstate, DType::float32, piece.rows, hidden, piece.stride},
              .accumulate = true,
              .product = direction.product};
  matmul(task, pool);
  if (alike == width) return;
  task.k = hidden;
  task.a = direction.kept;
  task.b = rows_of(direction.weight, alike, hidden);
  matmul(task, pool);
}

}  // namespace

std::int64_t recurrent_scratch(const Recurrence& direction, std::int64_t sequences, std::int64_t directions) {
  return directions * (packed_floats(direction) + sequences * row_floats(direction));
}

void recur(std::span<const Recurrence> directions, std::span<const RecurrentRun> runs, float* scratch,
           ThreadPool& pool) {
  if (runs.empty() || directions[0].hidden == 0) return;
  Shares shares(directions, runs, false, scratch, pool);
  shares.run([&](Share& share, std::size_t side) {
    const RecurrentKernels& kernels = tables.best();
    if (shares.one_step()) multiply_once(directions[side], share.piece, pool);
    kernels.start(directions[side], share.piece);
    std::int64_t active = share.piece.rows;
    for (std::int64_t step = 0; (active = active_at(share, step, active)) > 0; ++step)
      kernels.forward(directions[side], share.piece, step, active);
  });
}

void recur_backward(std::span<const Recurrence> directions, std::span<const RecurrenceGradients> gradients,
                    std::span<const RecurrentRun> runs, float* scratch, ThreadPool& pool) {
  if (runs.empty() || directions[0].hidden == 0) return;
  Shares shares(directions, runs, true, scratch, pool);
  shares.run([&](Share& share, std::size_t side) {
    const Recurrence& direction = directions[side];
    const RecurrenceGradients& to = gradients[side];
    const RecurrentPiece& piece = share.piece;
    const std::int64_t hidden = direction.hidden;
    const bool is_lstm = direction.cell == RecurrentCell::lstm;
    std::fill_n(piece.carry, piece.rows * piece.stride, 0.0f);
    std::fill_n(piece.operand[0], piece.rows * piece.gate_stride, 0.0f);
    std::fill_n(piece.dstate, piece.rows * piece.stride, 0.0f);
    const auto state_row = [&](const View& view, std::int64_t s) {
      return view.floats() + piece.number[s] * view.row_stride;
    };
    if (to.dfinal.data)
      for (std::int64_t s = 0; s < piece.rows; ++s) {
        std::copy_n(state_row(to.dfinal, s), hidden, piece.dstate + s * piece.stride);
        if (is_lstm) std::copy_n(state_row(to.dfinal, s) + hidden, hidden, piece.carry + s * piece.stride);
      }
    std::int64_t active = 0;
    for (std::int64_t step = piece.rows > 0 ? piece.length[0] - 1 : -1; step >= 0; --step) {
      while (active < piece.rows && piece.length[active] > step) ++active;
      tables.best().backward(direction, to, piece, step, active);
    }
    if (shares.one_step()) multiply_once_backward(direction, to, piece, pool);
    if (to.dinitial.data)
      for (std::int64_t s = 0; s < piece.rows; ++s) {
        std::copy_n(piece.dstate + s * piece.stride, hidden, state_row(to.dinitial, s));
        if (is_lstm) std::copy_n(piece.carry + s * piece.stride, hidden, state_row(to.dinitial, s) + hidden);
      }
  });
}

}  // namespace heed::kernels
