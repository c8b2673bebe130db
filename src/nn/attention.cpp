#include <heed/nn.h>

#include <cmath>

namespace heed {

namespace {

AttentionOptions options_for(const AttentionShape& shape, const Tensor& slopes) {
  AttentionOptions options;
  options.spec = shape.spec;
  options.heads = shape.heads;
  options.key_value_heads = shape.key_value_heads;
  options.head_width = shape.head_width;
  options.rotated = shape.rotated;
  options.rotary_base = shape.rotary_base;
  options.slopes = slopes;
  options.name = shape.name;
  return options;
}

/// The slot's cache of every sequence of the pass, cut to what is committed (a pass that failed may have left more).
std::vector<KeyValueCache*> caches_for(Pass& pass, const AttentionShape& shape, bool cut) {
  std::vector<KeyValueCache*> caches;
  if (shape.slot < 0) return caches;
  const std::int64_t width = static_cast<std::int64_t>(shape.key_value_heads) * shape.head_width;
  for (State* state : pass.states()) {
    KeyValueCache& cache = state->slots.at(static_cast<std::size_t>(shape.slot)).cache;
    if (!cache) cache = KeyValueCache(width, width, shape.rotated > 0 ? DType::float32 : pass.product_dtype());
    if (cut) cache.truncate(std::min(cache.length(), state->length));
    caches.push_back(&cache);
  }
  return caches;
}

Var finish(const Linear& out, const Var& y, const Var& residual) { return residual ? out(y, residual) : out(y); }

}  // namespace

SelfAttention::SelfAttention(AttentionShape attention_shape)
    : qkv(attention_shape.width,
          static_cast<std::int64_t>(attention_shape.heads + 2 * attention_shape.key_value_heads) *
              attention_shape.head_width,
          attention_shape.bias),
      out(static_cast<std::int64_t>(attention_shape.heads) * attention_shape.head_width, attention_shape.width,
          attention_shape.bias),
      shape(std::move(attention_shape)) {
  if (shape.alibi) slopes_ = alibi_slopes(shape.heads);
}

Var SelfAttention::operator()(const Var& x, const Var& relative, const Var& residual) const {
  Pass& pass = x.pass();
  AttentionOptions options = options_for(shape, slopes_);
  options.relative = relative;
  options.caches = caches_for(pass, shape, true);
  // Angles are applied in float32: queries and keys stay so until they have turned.
  const Var projected = qkv(x, shape.rotated > 0 ? DType::float32 : pass.product_dtype());
  return finish(out, self_attention(projected, options), residual);
}

CrossAttention::CrossAttention(AttentionShape attention_shape)
    : query(attention_shape.width, static_cast<std::int64_t>(attention_shape.heads) * attention_shape.head_width,
            attention_shape.bias),
      key_value(attention_shape.memory_width > 0 ? attention_shape.memory_width : attention_shape.width,
                2 * static_cast<std::int64_t>(attention_shape.key_value_heads) * attention_shape.head_width,
                attention_shape.bias),
      out(static_cast<std::int64_t>(attention_shape.heads) * attention_shape.head_width, attention_shape.width,
          attention_shape.bias),
      shape(std::move(attention_shape)) {
  if (shape.spec.score == Score::additive)
    direction = Weight({shape.heads, shape.head_width},
                       {Initial::Kind::normal, 1.0f / std::sqrt(static_cast<float>(shape.head_width))});
}

Var CrossAttention::operator()(const Var& x, const Var& memory, const Var& residual) const {
  return attend(x, memory ? project(memory) : Var(), residual);
}

Var CrossAttention::project(const Var& memory) const { return key_value(memory, memory.pass().product_dtype()); }

Var CrossAttention::attend(const Var& x, const Var& keys_and_values, const Var& residual) const {
  Pass& pass = x.pass();
  AttentionOptions options = options_for(shape, {});
  if (direction) options.direction = pass.use(direction);
  if (!keys_and_values) options.caches = caches_for(pass, shape, false);
  return finish(out, cross_attention(query(x, pass.product_dtype()), keys_and_values, options), residual);
}

void CrossAttention::remember(const Var& memory) const {
  Pass& pass = memory.pass();
  const Var both = project(memory);
  const std::vector<KeyValueCache*> caches = caches_for(pass, shape, false);
  const Sequences& sequences = memory.sequences();
  for (std::int64_t i = 0; i < sequences.count(); ++i) {
    View key = both.value().slice(sequences.begin(i), sequences.begin(i) + sequences.length(i)).view();
    key.width /= 2;
    View value = key;
    value.data = static_cast<char*>(key.data) + key.width * size_of(both.dtype());
    KeyValueCache& cache = *caches.at(static_cast<std::size_t>(i));
    cache.truncate(0);
    cache.append(key, value);
  }
}

}  // namespace heed
