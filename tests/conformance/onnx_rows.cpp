// Operators on rows and elements, by heed's kernels.
#include <algorithm>
#include <cstring>

#include "conformance/onnx_operators.h"
#include "kernels/rows.h"

namespace heed::onnx {

namespace {

/// x as rows of the dimensions from `axis` on.
struct Rows {
  Tensor x;
  std::int64_t rows = 1, width = 1;
  Shape outer;  ///< the other dimensions, each followed as 1: what statistics of rows are shaped as

  Rows(const Tensor& input, std::int64_t axis) : x(to_float32(input)) {
    const int rank = x.shape().rank();
    if (axis < -rank || axis >= rank) throw Error("axis {} of an input of shape {}", axis, x.shape());
    for (int i = 0; i < rank; ++i) {
      const bool normalised = i >= (axis < 0 ? axis + rank : axis);
      (normalised ? width : rows) *= x.shape()[i];
      outer.append(normalised ? 1 : x.shape()[i]);
    }
  }
  View view(const Tensor& tensor) const { return tensor.reshaped({rows, width}).view(); }
};

Tensor activated(const Tensor& x, kernels::Activation kind, float alpha, ThreadPool& pool) {
  const Tensor input = to_float32(x);
  Tensor y(input.shape());
  const View from = input.reshaped({1, input.elements()}).view(), to = y.reshaped({1, y.elements()}).view();
  // f(αx)/α, for SiLU's slope: x·sigmoid(αx) = silu(αx)/α
  kernels::add_scaled(from, alpha, to, 0.0f, pool);
  kernels::activate(kind, to, to, pool);
  if (alpha != 1.0f) kernels::add_scaled(to, 1.0f / alpha, to, 0.0f, pool);
  return y;
}

}  // namespace

Outputs softmax(const Call& call) {
  Tensor x = to_float32(call.input(0));
  const std::int64_t rank = x.shape().rank(), given = call.node.integer("axis", -1);
  const std::int64_t axis = given < 0 ? given + rank : given;
  if (axis < 0 || axis >= rank) throw Error("Softmax: axis {} of an input of shape {}", given, x.shape());
  std::int64_t before = 1, after = 1;
  for (int i = 0; i < rank; ++i)
    if (i != axis) (i < axis ? before : after) *= x.shape()[i];
  const Shape shape = x.shape();
  // The axis last, rows of it, and back.
  x = x.reshaped({before, shape[static_cast<int>(axis)], after, 1});
  Tensor turned = exchanged(x);
  kernels::softmax_rows(turned.reshaped({before * after, shape[static_cast<int>(axis)]}).view(), false, call.pool);
  return {exchanged(turned).reshaped(shape)};
}

Outputs layer_normalization(const Call& call) {
  const Rows in(call.input(0), call.node.integer("axis", -1));
  const Tensor gain = to_float32(call.input(1));
  const Tensor bias = call.optional(2) ? to_float32(*call.optional(2)) : Tensor();
  Tensor y(in.x.shape()), mean(in.outer), inverse_deviation(in.outer);
  kernels::layer_norm(in.view(in.x), gain.floats(), bias ? bias.floats() : nullptr, call.node.number("epsilon", 1e-5f),
                      in.view(y), mean.floats(), inverse_deviation.floats(), call.pool);
  return {y, mean, inverse_deviation};
}

Outputs rms_normalization(const Call& call) {
  const Rows in(call.input(0), call.node.integer("axis", -1));
  const Tensor gain = to_float32(call.input(1));
  Tensor y(in.x.shape()), inverse_rms(in.outer);
  kernels::rms_norm(in.view(in.x), gain.floats(), call.node.number("epsilon", 1e-5f), in.view(y), inverse_rms.floats(),
                    call.pool);
  return {y};
}

Outputs gelu(const Call& call) {
  const bool approximate = call.node.text("approximate", "none") == "tanh";
  return {activated(call.input(0), approximate ? kernels::Activation::gelu_tanh : kernels::Activation::gelu, 1.0f,
                    call.pool)};
}

Outputs swish(const Call& call) {
  const float alpha = call.node.number("alpha", 1.0f);
  if (alpha != 0.0f) return {activated(call.input(0), kernels::Activation::silu, alpha, call.pool)};
  const Tensor x = to_float32(call.input(0));  // x·sigmoid(0)
  Tensor y(x.shape());
  kernels::add_scaled(x.view(), 0.5f, y.view(), 0.0f, call.pool);
  return {y};
}

Outputs rotary_embedding(const Call& call) {
  const Tensor& input = call.input(0);
  const bool four = input.shape().rank() == 4;
  const Tensor x = to_float32(packed(input)), cosines = to_float32(call.input(1)), sines = to_float32(call.input(2));
  const std::int64_t batches = x.shape()[0], rows = x.shape()[1];
  kernels::Rotary rotary;
  rotary.heads = static_cast<int>(four ? input.shape()[1] : call.node.integer("num_heads", 1));
  if (rotary.heads < 1 || x.width() % rotary.heads != 0)
    throw Error("RotaryEmbedding: {} heads of an input of shape {}", rotary.heads, input.shape());
  rotary.head_width = static_cast<int>(x.width() / rotary.heads);
  rotary.rotated = static_cast<int>(call.node.integer("rotary_embedding_dim", 0));
  if (rotary.rotated == 0) rotary.rotated = rotary.head_width;
  rotary.interleaved = call.node.integer("interleaved", 0) != 0;
  if (2 * cosines.width() != rotary.rotated || sines.shape() != cosines.shape())
    throw Error("RotaryEmbedding: cosines {} and sines {} for {} elements that turn", cosines.shape(), sines.shape(),
                rotary.rotated);
  // Without position ids there is a row of angles for each row of the input.
  std::vector<std::int32_t> positions;
  for (std::int64_t i = 0; i < batches * rows; ++i)
    positions.push_back(static_cast<std::int32_t>(call.optional(3) ? call.input(3).as<std::int64_t>()[i] : i));
  for (const std::int32_t position : positions)
    if (position < 0 || position >= cosines.rows())
      throw Error("RotaryEmbedding: position {} with angles for {}", position, cosines.rows());
  Tensor y(x.shape());
  kernels::rotate_by(x.view(), positions.data(), cosines.view(), sines.view(), rotary, y.view(), call.pool);
  return {four ? exchanged(y.reshaped({batches, rows, rotary.heads, rotary.head_width})) : y};
}

Outputs tensor_scatter(const Call& call) {
  const Tensor &past = call.input(0), &update = call.input(1);
  const int rank = past.shape().rank();
  const std::int64_t given = call.node.integer("axis", -2);
  const int axis = static_cast<int>(given < 0 ? given + rank : given);
  const bool circular = call.node.text("mode", "linear") == "circular";
  if (axis < 1 || axis >= rank || update.shape().rank() != rank)
    throw Error("TensorScatter: axis {} of a cache {} and an update {}", given, past.shape(), update.shape());
  std::int64_t caches = 1, bytes = size_of(past.dtype());
  for (int i = 0; i < rank; ++i)
    if (i != axis) (i < axis ? caches : bytes) *= past.shape()[i];
  const std::int64_t length = past.shape()[axis], count = update.shape()[axis];
  Tensor present = past.clone();
  for (std::int64_t cache = 0; cache < caches; ++cache) {
    const std::int64_t batch = cache / (caches / past.shape()[0]);
    const std::int64_t first = call.optional(2) ? call.input(2).as<std::int64_t>()[batch] : 0;
    for (std::int64_t i = 0; i < count; ++i) {
      const std::int64_t row = circular ? (first + i) % length : first + i;
      if (row < 0 || row >= length) throw Error("TensorScatter: row {} of a cache of {}", row, length);
      std::memcpy(static_cast<char*>(present.data()) + (cache * length + row) * bytes,
                  static_cast<const char*>(update.data()) + (cache * count + i) * bytes,
                  static_cast<std::size_t>(bytes));
    }
  }
  return {present};
}

}  // namespace heed::onnx
