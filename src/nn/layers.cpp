#include <heed/nn.h>

#include <cmath>

namespace heed {

Linear::Linear(std::int64_t in, std::int64_t out, bool with_bias)
    : Linear(in, out, with_bias,
             {Initial::Kind::uniform, static_cast<float>(std::sqrt(6.0 / static_cast<double>(in + out)))}) {}

Linear::Linear(std::int64_t in, std::int64_t out, bool with_bias, Initial initial) : weight({out, in}, initial) {
  if (with_bias) bias = Weight({out});
}

namespace {

Var use_or_empty(Pass& pass, const Weight& weight) { return weight ? pass.use(weight) : Var(); }

}  // namespace

Var Linear::operator()(const Var& x, DType result) const {
  Pass& pass = x.pass();
  return linear(x, pass.use(weight), use_or_empty(pass, bias), result);
}

Var Linear::operator()(const Var& x, const Var& residual) const {
  Pass& pass = x.pass();
  return linear_add(x, pass.use(weight), use_or_empty(pass, bias), residual);
}

Embedding::Embedding(std::int64_t entries, std::int64_t width, float spread, float row_scale)
    : table({entries, width}, {Initial::Kind::normal, spread}), scale(row_scale) {}

Var Embedding::operator()(Pass& pass, std::span<const std::int32_t> ids, SequencesPointer sequences) const {
  return embedding(pass, ids, std::move(sequences), pass.use(table), scale);
}

Norm::Norm(NormKind norm_kind, std::int64_t width, bool with_bias, float norm_epsilon)
    : kind(norm_kind), epsilon(norm_epsilon), gain({width}, {Initial::Kind::ones, 0.0f}) {
  if (with_bias && kind == NormKind::layer) bias = Weight({width});
}

Var Norm::operator()(const Var& x, DType result) const {
  Pass& pass = x.pass();
  if (kind == NormKind::rms) return rms_norm(x, pass.use(gain), epsilon, result);
  return layer_norm(x, pass.use(gain), use_or_empty(pass, bias), epsilon, result);
}

Mlp::Mlp(std::int64_t width, std::int64_t inner, ActivationKind kind, bool gate, bool with_bias, float rate)
    : up(width, gate ? 2 * inner : inner, with_bias),
      down(inner, width, with_bias),
      activation(kind),
      with_gate(gate),
      dropout(rate) {}

Var Mlp::operator()(const Var& x, const Var& residual) const {
  const Var inner = up(x, x.pass().product_dtype());
  Var activated = with_gate ? gated(inner, activation) : activate(inner, activation);
  if (dropout > 0.0f) activated = heed::dropout(activated, dropout);
  return residual ? down(activated, residual) : down(activated);
}

}  // namespace heed
