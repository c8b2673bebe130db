#include <cmath>

#include "kernels/rows_pieces.h"
#include "ops/attention_problem.h"
#include "ops/checks.h"

namespace heed {

AttentionProblem problem_of(Pass& pass, const AttentionSpec& spec) {
  AttentionProblem problem;
  problem.spec = spec;
  if (!pass.training()) problem.spec.dropout = 0.0f;
  if (problem.spec.dropout > 0.0f) problem.dropout_key = pass.next_key();
  return problem;
}

void span_packed(AttentionProblem& problem, View key, View value, const Sequences& queries, const Sequences& keys) {
  problem.key_value_dtype = key.dtype;
  problem.key_stride = key.row_stride;
  problem.value_stride = value.row_stride;
  for (std::int64_t i = 0; i < queries.count(); ++i)
    problem.sequences.push_back({.query_begin = queries.begin(i),
                                 .query_count = queries.length(i),
                                 .query_position = 0,
                                 .key_begin = keys.begin(i),
                                 .key_count = keys.length(i),
                                 .spans = {{kernels::rows_of(key, keys.begin(i), 0).data,
                                            kernels::rows_of(value, keys.begin(i), 0).data, keys.length(i)}}});
}

namespace {

AttentionProblem problem_for(Pass& pass, const AttentionOptions& options) {
  AttentionProblem problem = problem_of(pass, options.spec);
  problem.heads = options.heads;
  problem.key_value_heads = options.key_value_heads;
  problem.head_width = problem.value_width = options.head_width;
  if (options.slopes) problem.slopes = options.slopes.floats();
  if (options.direction) problem.direction = options.direction.value().floats();
  if (options.relative) {
    problem.relative = options.relative.value().floats();
    problem.relative_reach = (options.relative.width() - 1) / 2;
  }
  return problem;
}

/// Keys and values in caches, one a sequence.
void span_cached(AttentionProblem& problem, const std::vector<KeyValueCache*>& caches, const Sequences& queries) {
  if (static_cast<std::int64_t>(caches.size()) != queries.count())
    throw Error("attention: {} caches for {} sequences", caches.size(), queries.count());
  for (std::int64_t i = 0; i < queries.count(); ++i) {
    const KeyValueCache& cache = *caches[static_cast<std::size_t>(i)];
    problem.key_value_dtype = cache.dtype();
    problem.key_stride = cache.key_width();
    problem.value_stride = cache.value_width();
    problem.sequences.push_back({.query_begin = queries.begin(i),
                                 .query_count = queries.length(i),
                                 .query_position = queries.position(i),
                                 .key_begin = 0,
                                 .key_count = cache.length(),
                                 .spans = cache.spans()});
  }
}

struct Result {
  Tensor output, log_sum_exp;
};

Result forward(Pass& pass, const AttentionOptions& options, const AttentionProblem& problem, bool recording) {
  const std::int64_t tokens = problem.query.rows;
  Result result{
      pass.tensor({tokens, static_cast<std::int64_t>(options.heads) * options.head_width}, pass.product_dtype()), {}};
  if (recording) result.log_sum_exp = pass.tensor({options.heads, tokens});
  if (pass.probe()) pass.probe()->attention(options.name, problem, pass.pool());
  attention_forward(problem, result.output.view(), recording ? result.log_sum_exp.floats() : nullptr, pass.pool());
  return result;
}

/// Where the gradient of an operand of all pairs is added up; null when it has none.
float* sum_of(const Var& operand, Gradients& d) {
  if (!operand) return nullptr;
  const auto target = d.to(operand);
  if (target && !target.accumulate) Tensor::borrow(target.view.data, operand.shape()).fill(0.0f);
  return target.floats();
}

}  // namespace

Var self_attention(const Var& x, const AttentionOptions& options) {
  const std::int64_t h = options.head_width, query_width = options.heads * h, key_width = options.key_value_heads * h;
  if (x.width() != query_width + 2 * key_width)
    throw Error("self_attention: x is {}; {} heads and {} key/value heads of width {} need a width of {}", x.shape(),
                options.heads, options.key_value_heads, h, query_width + 2 * key_width);
  Pass& pass = x.pass();
  const Sequences& sequences = x.sequences();

  // Queries and keys lie side by side and turn alike: one call rotates both, where they are.
  const kernels::Rotary rotary{.heads = options.heads + options.key_value_heads,
                               .head_width = static_cast<int>(h),
                               .rotated = options.rotated,
                               .base = options.rotary_base};
  Tensor positions;
  if (options.rotated > 0) {
    positions = pass.tensor({x.tokens()}, DType::int32);
    for (std::int64_t i = 0; i < sequences.count(); ++i)
      for (std::int64_t t = 0; t < sequences.length(i); ++t)
        positions.as<std::int32_t>()[sequences.begin(i) + t] = static_cast<std::int32_t>(sequences.position(i) + t);
    const View turned = kernels::columns_of(x.value().view(), 0, query_width + key_width);
    kernels::rotate(turned, positions.as<std::int32_t>(), rotary, turned, pass.pool());
  }

  AttentionProblem problem = problem_for(pass, options);
  problem.query = kernels::columns_of(x.value().view(), 0, query_width);
  const View key = kernels::columns_of(x.value().view(), query_width, key_width),
             value = kernels::columns_of(x.value().view(), query_width + key_width, key_width);
  if (options.caches.empty()) {
    span_packed(problem, key, value, sequences, sequences);
  } else {
    for (std::int64_t i = 0; i < sequences.count() && i < static_cast<std::int64_t>(options.caches.size()); ++i)
      options.caches[static_cast<std::size_t>(i)]->append(
          kernels::rows_of(key, sequences.begin(i), sequences.length(i)),
          kernels::rows_of(value, sequences.begin(i), sequences.length(i)));
    span_cached(problem, options.caches, sequences);
  }
  const bool recording = pass.recording({&x, &options.relative});
  if (recording && !options.caches.empty()) throw Error("self_attention: a pass with caches cannot be differentiated");
  const Result result = forward(pass, options, problem, recording);

  return pass.record(result.output, {&x, &options.relative}, [=, &pass](const Tensor& dy, Gradients& d) {
    const auto dx = d.to(x);
    // Turned back in place, which must not touch what is already there.
    const Tensor own = dx && !dx.accumulate ? Tensor::borrow(dx.view.data, x.shape()) : pass.tensor(x.shape());
    attention_backward(problem, result.output.view(), result.log_sum_exp.floats(), dy.view(),
                       {.query = kernels::columns_of(own.view(), 0, query_width),
                        .key = kernels::columns_of(own.view(), query_width, key_width),
                        .value = kernels::columns_of(own.view(), query_width + key_width, key_width),
                        .relative = sum_of(options.relative, d)},
                       pass.pool());
    if (options.rotated > 0) {
      kernels::Rotary back = rotary;
      back.direction = -1.0f;
      const View turned = kernels::columns_of(own.view(), 0, query_width + key_width);
      kernels::rotate(turned, positions.as<std::int32_t>(), back, turned, pass.pool());
    }
    if (dx.accumulate) kernels::add_scaled(own.view(), 1.0f, dx.view, 1.0f, pass.pool());
  });
}

Var cross_attention(const Var& query, const Var& key_value, const AttentionOptions& options) {
  const std::int64_t h = options.head_width, query_width = options.heads * h, key_width = options.key_value_heads * h;
  if (query.width() != query_width)
    throw Error("cross_attention: query is {}; {} heads of width {} need a width of {}", query.shape(), options.heads,
                h, query_width);
  if (key_value && key_value.width() != 2 * key_width)
    throw Error("cross_attention: key_value is {}; {} heads of width {} need a width of {}", key_value.shape(),
                options.key_value_heads, h, 2 * key_width);
  Pass& pass = query.pass();
  AttentionProblem problem = problem_for(pass, options);
  problem.query = query.value().view();
  if (key_value) {
    if (key_value.sequences().count() != query.sequences().count())
      throw Error("cross_attention: {} sequences of queries, {} of keys", query.sequences().count(),
                  key_value.sequences().count());
    span_packed(problem, kernels::columns_of(key_value.value().view(), 0, key_width),
                kernels::columns_of(key_value.value().view(), key_width, key_width), query.sequences(),
                key_value.sequences());
  } else {
    span_cached(problem, options.caches, query.sequences());
  }
  const bool recording = pass.recording({&query, &key_value, &options.relative, &options.direction});
  if (recording && !key_value) throw Error("cross_attention: a pass with caches cannot be differentiated");
  const Result result = forward(pass, options, problem, recording);

  return pass.record(result.output, {&query, &key_value, &options.relative, &options.direction},
                     [=, &pass](const Tensor& dy, Gradients& d) {
                       const auto dq = d.to(query), dkv = d.to(key_value);
                       AttentionGradients to;
                       to.query = dq.view;
                       to.accumulate_query = dq.accumulate;
                       to.relative = sum_of(options.relative, d);
                       to.direction = sum_of(options.direction, d);
                       if (dkv) {
                         const Tensor both = Tensor::borrow(dkv.view.data, key_value.shape());
                         to.key = kernels::columns_of(both.view(), 0, key_width);
                         to.value = kernels::columns_of(both.view(), key_width, key_width);
                         to.accumulate_key = to.accumulate_value = dkv.accumulate;
                       }
                       attention_backward(problem, result.output.view(), result.log_sum_exp.floats(), dy.view(), to,
                                          pass.pool());
                     });
}

Var relative_from_buckets(const Var& table, std::int64_t reach, bool bidirectional, std::int64_t largest_distance) {
  Pass& pass = table.pass();
  const std::int64_t heads = table.shape()[0], buckets = table.width(), width = 2 * reach + 1;
  const std::int64_t own = bidirectional ? buckets / 2 : buckets, exact = own / 2;
  if (exact < 1 || largest_distance <= exact)
    throw Error("relative positions: {} buckets are too few for distances up to {}", buckets, largest_distance);
  // Half of the buckets hold one distance each, the rest grow logarithmically up to the largest distance.
  std::vector<std::int64_t> bucket(static_cast<std::size_t>(width));
  for (std::int64_t i = 0; i < width; ++i) {
    const std::int64_t key_minus_query = i - reach;
    std::int64_t distance = bidirectional ? std::abs(key_minus_query) : std::max<std::int64_t>(0, -key_minus_query);
    if (distance >= exact) {
      const double share = std::log(static_cast<double>(distance) / static_cast<double>(exact)) /
                           std::log(static_cast<double>(largest_distance) / static_cast<double>(exact));
      distance = std::min(own - 1, exact + static_cast<std::int64_t>(share * static_cast<double>(own - exact)));
    }
    bucket[static_cast<std::size_t>(i)] = distance + (bidirectional && key_minus_query > 0 ? own : 0);
  }
  Tensor y = pass.tensor({heads, width});
  for (std::int64_t head = 0; head < heads; ++head)
    for (std::int64_t i = 0; i < width; ++i)
      y.floats()[head * width + i] = table.value().floats()[head * buckets + bucket[static_cast<std::size_t>(i)]];
  return pass.record(y, {&table}, [=](const Tensor& dy, Gradients& d) {
    const auto dt = d.to(table);
    if (!dt) return;
    if (!dt.accumulate) std::fill(dt.floats(), dt.floats() + heads * buckets, 0.0f);
    for (std::int64_t head = 0; head < heads; ++head)
      for (std::int64_t i = 0; i < width; ++i)
        dt.floats()[head * buckets + bucket[static_cast<std::size_t>(i)]] += dy.floats()[head * width + i];
  });
}

Tensor alibi_slopes(int heads) {
  // A power of two of heads has slopes 2^(−8/n), 2^(−16/n), …; other numbers fill up from the next power's odd places.
  Tensor slopes({heads});
  int power = 1;
  while (power * 2 <= heads) power *= 2;
  for (int i = 0; i < heads; ++i) {
    const double exponent = i < power ? 8.0 * (i + 1) / power : 4.0 * (2 * (i - power) + 1) / power;
    slopes.floats()[i] = static_cast<float>(std::exp2(-exponent));
  }
  return slopes;
}

}  // namespace heed
