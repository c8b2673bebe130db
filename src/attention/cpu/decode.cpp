#include "attention/cpu/scores.h"

// One query against many keys: nothing to reuse in registers, so keys and values are read once, where and as they lie.
// Pieces of the keys give partial softmaxes, which are joined in order.
namespace heed::HEED_ISA {

namespace {

HEED_INLINE F pairwise(F a, F b) {
  I even{}, odd{};
  for (int i = 0; i < lanes; ++i) {
    even[i] = 2 * i;
    odd[i] = 2 * i + 1;
  }
  return HEED_SHUFFLE_LANES(a, b, even) + HEED_SHUFFLE_LANES(a, b, odd);
}

/// Scalar products of `query` with `count` (1 to R) rows of keys, in the first lanes.
template <DType type, int R>
HEED_INLINE F scalar_products(const float* query, int width, const char* key, std::int64_t stride_bytes, int count) {
  F sum[R];
  const char* row[R];
  for (int r = 0; r < R; ++r) {
    sum[r] = zero();
    row[r] = key + (r < count ? r : count - 1) * stride_bytes;
  }
  int i = 0;
  for (; i + lanes <= width; i += lanes) {
    const F factor = load(query + i);
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) sum[r] = fma(load_as<type>(row[r], i, lanes), factor, sum[r]);
  }
  if (i < width) {
    const F factor = load(query + i, width - i);
    for (int r = 0; r < R; ++r) sum[r] = fma(load_as<type>(row[r], i, width - i), factor, sum[r]);
  }
  // Each level halves what a row's sum is spread over; with fewer rows than lanes the last levels fold a vector upon
  // itself.
#pragma GCC unroll 4
  for (int level = 1, left = R; level < lanes; level *= 2, left = (left + 1) / 2)
#pragma GCC unroll 8
    for (int r = 0; r < (left + 1) / 2; ++r) sum[r] = pairwise(sum[2 * r], sum[2 * r + 1 < left ? 2 * r + 1 : 2 * r]);
  return sum[0];
}

/// Calls f(key data, value data, rows, first row's number in the piece) for the parts of spans within [begin, end).
template <class Function>
HEED_INLINE void each_part(const Head& head, std::int64_t begin, std::int64_t end, Function f) {
  std::int64_t at = 0;
  for (int i = 0; i < head.span_count && at < end; ++i) {
    const attention::Span& span = head.spans[i];
    const std::int64_t from = larger(begin - at, 0), to = smaller(end - at, span.count);
    if (from < to) f(span, from, to - from, at + from - begin);
    at += span.count;
  }
}

template <DType type>
void score(const Head& head, const float* query, std::int64_t begin, std::int64_t end, float* scores) {
  constexpr std::int64_t bytes = type == DType::float32 ? 4 : 2;
  const std::int64_t stride = head.key_stride * bytes;
  each_part(head, begin, end, [&](const attention::Span& span, std::int64_t from, std::int64_t rows, std::int64_t to) {
    const char* key = static_cast<const char*>(span.key) + from * stride + head.key_column * bytes;
    std::int64_t row = 0;
    for (; row + 4 < rows; row += lanes)
      store(scores + to + row,
            scalar_products<type, lanes>(query, head.width, key + row * stride, stride, tail_of(rows - row)));
    if (row < rows)
      store(scores + to + row,
            scalar_products<type, 4>(query, head.width, key + row * stride, stride, static_cast<int>(rows - row)));
  });
}

/// The adjustments of QueryBlock::adjust for one query: lanes are keys here.
void adjust(const Head& head, std::int64_t position, std::int64_t begin, int keys, float* scores) {
  if (head.soft_cap != 0.0f)
    for (int i = 0; i < keys; i += lanes) store(scores + i, tanh(load(scores + i)) * set1(head.soft_cap * log2_e));
  for (int i = 0; i < keys && (head.slope != 0.0f || head.relative); ++i) {
    const std::int64_t distance = begin + i - position;
    scores[i] -= head.slope * log2_e * static_cast<float>(distance < 0 ? -distance : distance);
    if (head.relative)
      scores[i] += head.relative[smaller(larger(distance, -head.reach), head.reach) + head.reach] * log2_e;
  }
  if (cover(head, position, position, begin, begin + keys) == Seen::all) return;
  if (!head.bands) {
    head.mask.fill(head.mask, position, 1, begin, keys, scores, 0, 1);
    return;
  }
  for (int i = 0; i < keys; i += lanes) {
    const I at = (I)iota() + set1_int(static_cast<std::int32_t>(begin) + i);
    I allowed{};
    for (int b = 0; b < head.bands->count; ++b) {
      const Bands::Band& band = head.bands->band[b];
      allowed |= (at >= set1_int(static_cast<std::int32_t>(larger(position + band.low, band.first)))) &
                 (at < set1_int(static_cast<std::int32_t>(smaller(position + band.high, band.end))));
    }
    store(scores + i, select(allowed, load(scores + i), set1(-infinity)));
  }
}

template <DType type, int N>
void add_values(const Head& head, const float* weights, std::int64_t begin, std::int64_t end, int column, float* sums) {
  constexpr std::int64_t bytes = type == DType::float32 ? 4 : 2;
  const std::int64_t stride = head.value_stride * bytes;
  const int last = tail_of(head.value_width - column - (N - 1) * lanes);
  F sum[N];
  for (int n = 0; n < N; ++n) sum[n] = zero();
  each_part(head, begin, end, [&](const attention::Span& span, std::int64_t from, std::int64_t rows, std::int64_t to) {
    const char* value = static_cast<const char*>(span.value) + from * stride + (head.value_column + column) * bytes;
    for (std::int64_t row = 0; row < rows; ++row, value += stride) {
      const F weight = set1(weights[to + row]);
#pragma GCC unroll 4
      for (int n = 0; n < N - 1; ++n) sum[n] = fma(weight, load_as<type>(value, n * lanes, lanes), sum[n]);
      sum[N - 1] = fma(weight, load_as<type>(value, (N - 1) * lanes, last), sum[N - 1]);
    }
  });
  for (int n = 0; n < N; ++n) store(sums + column + n * lanes, sum[n], n == N - 1 ? last : lanes);
}

template <DType type>
void partial_softmax(const Head& head, std::int64_t query, std::int64_t begin, std::int64_t end, float* partial) {
  const std::int64_t position = head.position + query;
  const int keys = static_cast<int>(end - begin), whole = whole_vectors(keys);
  float* const factor = head.scratch;
  float* const scores = factor + padded(head.width);
  const std::int64_t bytes = head.query_type == DType::float32 ? 4 : 2;
  copy_rows(head.query_type, static_cast<const char*>(head.query) + query * head.query_stride * bytes, 0, 1, head.width,
            factor, padded(head.width));
  const F unit = set1(query_factor(head));
  for (int i = 0; i < head.width; i += lanes) store(factor + i, load(factor + i) * unit);

  score<type>(head, factor, begin, end, scores);
  adjust(head, position, begin, keys, scores);
  for (int i = keys; i < whole; ++i) scores[i] = -infinity;
  F most = set1(-infinity);
  for (int i = 0; i < whole; i += lanes) most = max(most, load(scores + i));
  const float maximum = reduce_max(most);
  const F shift = set1(maximum == -infinity ? 0.0f : maximum);
  F sum = zero();
  for (int i = 0; i < whole; i += lanes) {
    F weight = exp2(load(scores + i) - shift);
    sum = sum + weight;
    if (head.drop_below != 0) {
      const U first = set1_uint(static_cast<std::uint32_t>(query) * query_step + static_cast<std::uint32_t>(begin + i));
      weight = select(stays(head, first + iota()), weight, zero());
    }
    store(scores + i, weight);
  }
  partial[0] = maximum;
  partial[1] = reduce_add(sum);
  for (int column = 0; column < head.value_width; column += 4 * lanes) {
    const int vectors = (head.value_width - column + lanes - 1) / lanes;
    const auto add = vectors >= 4   ? add_values<type, 4>
                     : vectors == 3 ? add_values<type, 3>
                     : vectors == 2 ? add_values<type, 2>
                                    : add_values<type, 1>;
    add(head, scores, begin, end, column, partial + 2);
  }
}

void decode(const Head& head, std::int64_t query, std::int64_t begin, std::int64_t end, float* partial) {
  if (head.key_value_type == DType::float32)
    partial_softmax<DType::float32>(head, query, begin, end, partial);
  else if (head.key_value_type == DType::bfloat16)
    partial_softmax<DType::bfloat16>(head, query, begin, end, partial);
  else
    partial_softmax<DType::float16>(head, query, begin, end, partial);
}

void join(const Head& head, std::int64_t query, const float* partial, int count, std::int64_t stride) {
  float maximum = -infinity;
  for (int i = 0; i < count; ++i) maximum = partial[i * stride] > maximum ? partial[i * stride] : maximum;
  const F shift = set1(maximum == -infinity ? 0.0f : maximum);
  float sum = 0.0f;
  for (int i = 0; i < count; ++i) sum += partial[i * stride + 1] * exp2(set1(partial[i * stride]) - shift)[0];
  const F factor = set1(sum > 0.0f ? 1.0f / (sum * head.kept) : 0.0f);
  for (int column = 0; column < head.value_width; column += lanes) {
    const int width = tail_of(head.value_width - column);
    F total = zero();
    for (int i = 0; i < count; ++i)
      total = fma(exp2(set1(partial[i * stride]) - shift), load(partial + i * stride + 2 + column, width), total);
    const std::int64_t at = query * head.output_stride + column;
    if (head.output_type == DType::float32)
      store(static_cast<float*>(head.output) + at, total * factor, width);
    else
      store_bfloat16(static_cast<std::uint16_t*>(head.output) + at, total * factor, width);
  }
  if (head.log_sum_exp)
    head.log_sum_exp[query] = sum > 0.0f ? fma(set1(maximum), set1(ln_2), log(set1(sum)))[0] : -infinity;
}

}  // namespace

extern const attention::Decode attention_decode_kernel;
const attention::Decode attention_decode_kernel = {decode, join};

}  // namespace heed::HEED_ISA
