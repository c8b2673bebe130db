#include "attention/cpu/scores.h"

// Attention forward over blocks of keys with a running maximum and sum: Milakov & Gimelshein 2018 (arXiv:1805.02867),
// Rabe & Staats 2021 (arXiv:2112.05682), Dao et al. 2022 (arXiv:2205.14135). Queries lie in lanes: S[key][query] = K ·
// Qᵀ needs the few queries turned into columns and takes the keys as they lie, and the softmax never adds up across
// lanes.
namespace heed::HEED_ISA {

namespace {

/// Running softmax of the block's queries: maximum (base 2) and sum.
struct Running {
  float maximum[query_block], sum[query_block], rescale[query_block];
};

F column_maximum(const float* scores, int keys, int stride, F start) {
  F part[4] = {start, start, start, start};
  int key = 0;
  for (; key + 4 <= keys; key += 4)
    for (int i = 0; i < 4; ++i) part[i] = max(part[i], load(scores + (key + i) * stride));
  for (; key < keys; ++key) part[0] = max(part[0], load(scores + key * stride));
  return max(max(part[0], part[1]), max(part[2], part[3]));
}

/// Turns scores into weights relative to the new maximum, and brings the running sums to it. Where a vector of queries
/// sees no key, no score was made, and the weight is 0.
void softmax(const QueryBlock& block, float* scores, std::int64_t begin, int keys, bool masked, Running& running,
             Ahead& ahead) {
  const int stride = block.lanes_used;
  const bool drops = block.head.drop_below != 0;
  for (int lane = 0; lane < stride; lane += lanes) {
    const Range range = block.keys_of(lane, lanes, begin, keys, masked);
    const int from = static_cast<int>(range.begin), to = static_cast<int>(range.end);
    float* const column = scores + lane;
    for (int key = 0; key < from; ++key) store(column + key * stride, zero());
    for (int key = to; key < keys; ++key) store(column + key * stride, zero());
    const F before = load(running.maximum + lane);
    const F maximum = column_maximum(column + from * stride, to - from, stride, before);
    const F shift = select(maximum == set1(-infinity), zero(), maximum);
    const F rescale = exp2(before - shift);
    F sum = zero();
    for (int key = from; key < to; ++key) {
      float* at = column + key * stride;
      ahead.fetch(1);
      const F weight = exp2(load(at) - shift);
      sum = sum + weight;
      store(at, weight);
    }
    store(running.maximum + lane, maximum);
    store(running.rescale + lane, rescale);
    store(running.sum + lane, fma(load(running.sum + lane), rescale, sum));
    if (!drops) continue;
    const U draw = block.draws(lane);
    for (int key = from; key < to; ++key) {
      float* at = column + key * stride;
      const I stay = stays(block.head, draw + set1_uint(static_cast<std::uint32_t>(begin + key)));
      store(at, select(stay, load(at), zero()));
    }
  }
}

void write_output(const Head& head, std::int64_t row, const float* sums, float factor) {
  for (int i = 0; i < head.value_width; i += lanes) {
    const int count = tail_of(head.value_width - i);
    const F value = load(sums + i) * set1(factor);
    const std::int64_t at = row * head.output_stride + i;
    if (head.output_type == DType::float32) {
      float* to = static_cast<float*>(head.output) + at;
      count == lanes ? store(to, value) : store(to, value, count);
    } else {
      std::uint16_t* to = static_cast<std::uint16_t*>(head.output) + at;
      count == lanes ? store_bfloat16(to, value) : store_bfloat16(to, value, count);
    }
  }
}

void write(const QueryBlock& block, const float* sums, std::int64_t stride, const Running& running) {
  const Head& head = block.head;
  for (int query = 0; query < block.count; ++query) {
    const float sum = running.sum[query];
    write_output(head, block.index + query, sums + query * stride, sum > 0.0f ? 1.0f / (sum * head.kept) : 0.0f);
  }
  if (!head.log_sum_exp) return;
  for (int lane = 0; lane < block.count; lane += lanes) {
    const F sum = load(running.sum + lane);
    const F value = fma(load(running.maximum + lane), set1(ln_2), log(sum));
    store(head.log_sum_exp + block.index + lane, select(sum > zero(), value, set1(-infinity)),
          tail_of(block.count - lane));
  }
}

void forward(const Head& head, std::int64_t begin, int count, const Head* next, std::int64_t next_begin) {
  const QueryBlock block(head, begin, count);
  const int stride = block.lanes_used;
  const std::int64_t sums_stride = padded(head.value_width);
  float* const columns = head.scratch;                             // [width][lanes]
  float* const sums = columns + query_block * padded(head.width);  // [queries][value width]
  float* const scores = sums + query_block * sums_stride;          // [keys][lanes]
  float* const key_copy = scores + key_block * query_block;
  float* const value_copy = key_copy + key_block * padded(head.width);
  float* const line = value_copy + key_block * padded(head.value_width);

  const std::int64_t bytes = head.query_type == DType::float32 ? 4 : 2;
  transpose_rows(head.query_type, static_cast<const char*>(head.query) + begin * head.query_stride * bytes,
                 head.query_stride, count, head.width, query_factor(head), columns, stride);
  Running running;
  for (int lane = 0; lane < stride; lane += lanes) {
    store(running.maximum + lane, set1(-infinity));
    store(running.sum + lane, zero());
  }

  Ahead ahead(head, next, next_begin);
  bool first = true;
  const Range range = block.keys();
  for (std::int64_t at = range.begin; at < range.end; at += key_block) {
    const int keys = static_cast<int>(smaller(key_block, range.end - at));
    const Seen sight = block.covers(at, at + keys);
    if (sight == Seen::nothing) continue;
    const Panel key = fetch<false>(head, at, keys, false, key_copy);
    const bool masked = sight == Seen::some;
    block.each_key_group(at, keys, masked, [&](int row, int rows, int lane, int lanes_seeing) {
      multiply(rows, lanes_seeing, head.width, {key.data + row * key.stride, key.stride, 1}, {columns + lane, stride},
               scores + row * stride + lane, stride, false);
    });
    block.adjust(scores, at, keys, masked, nullptr, line);
    softmax(block, scores, at, keys, masked, running, ahead);
    if (!first)
      for (int query = 0; query < count; ++query)
        for (std::int64_t i = 0; i < sums_stride; i += lanes) {
          float* sum = sums + query * sums_stride + i;
          store(sum, load(sum) * set1(running.rescale[query]));
        }
    const Panel value = fetch<true>(head, at, keys, true, value_copy);
    const int width = whole_vectors(head.value_width);
    block.each_query_group(at, keys, masked, [&](int query, int queries, int from, int seen) {
      multiply(queries, width, seen, {scores + from * stride + query, 1, stride},
               {value.data + from * value.stride, value.stride}, sums + query * sums_stride, sums_stride, !first);
    });
    first = false;
  }
  if (first)
    for (std::int64_t i = 0; i < count * sums_stride; i += lanes) store(sums + i, zero());
  write(block, sums, sums_stride, running);
}

}  // namespace

extern const attention::Forward attention_forward_kernel;
const attention::Forward attention_forward_kernel = {forward};

}  // namespace heed::HEED_ISA
