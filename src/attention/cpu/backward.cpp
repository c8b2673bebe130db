#include "attention/cpu/scores.h"

// Attention backward: weights are computed again from scores and log-sum-exp, block by block (Dao et al. 2022,
// arXiv:2205.14135, algorithm 4). With P the weights, D = rowsum(dO ∘ O):
//   dV = Pᵀ dO,  dP = dO Vᵀ,  dS = P ∘ (dP − D),  dQ = scale · dS K,  dK = scale · dSᵀ Q.
// All blocks are [key][query], as in the forward, so every product but Qᵀ and dOᵀ takes its factors as they lie.
namespace heed::HEED_ISA {

namespace {

using attention::HeadGradients;

/// log-sum-exp in base 2 (+infinity where the weights are all 0) and D of each query.
struct Statistics {
  float log_sum[query_block], product[query_block];
};

void gather(const QueryBlock& block, const HeadGradients& gradients, Statistics& statistics) {
  const Head& head = block.head;
  const std::int64_t bytes = head.output_type == DType::float32 ? 4 : 2;
  for (int query = 0; query < block.lanes_used; ++query) {
    statistics.log_sum[query] = infinity;
    statistics.product[query] = 0.0f;
    if (query >= block.count) continue;
    const std::int64_t row = block.index + query;
    const float log_sum = head.log_sum_exp[row];
    if (log_sum != -infinity) statistics.log_sum[query] = log_sum * log2_e;
    const void* output = static_cast<const char*>(head.output) + row * head.output_stride * bytes;
    const float* doutput = gradients.doutput + row * gradients.doutput_stride;
    F sum = zero();
    for (int i = 0; i < head.value_width; i += lanes) {
      const int count = tail_of(head.value_width - i);
      const F value = head.output_type == DType::float32 ? load_as<DType::float32>(output, i, count)
                                                         : load_as<DType::bfloat16>(output, i, count);
      sum = fma(value, load_as<DType::float32>(doutput, i, count), sum);
    }
    statistics.product[query] = reduce_add(sum);
  }
}

/// scores: S → P (dropped ones 0, the others divided by what is kept); products: dP → scale · dS.
template <bool drops, bool general>
void weigh(const QueryBlock& block, const Statistics& statistics, float* scores, float* products,
           const float* derivative, float* line, std::int64_t begin, int keys, bool masked, Ahead& ahead) {
  const Head& head = block.head;
  const int stride = block.lanes_used;
  const F scale = set1(head.scale), inverse_kept = set1(1.0f / head.kept);
  for (int lane = 0; lane < stride; lane += lanes) {
    const F log_sum = load(statistics.log_sum + lane), product = load(statistics.product + lane);
    const U draw = block.draws(lane);
    const Range range = block.keys_of(lane, lanes, begin, keys, masked);
    const int first = static_cast<int>(range.begin), end = static_cast<int>(range.end);
    const auto clear = [&](int from, int to) {
      for (int key = from; key < to; ++key) {
        store(scores + key * stride + lane, zero());
        store(products + key * stride + lane, zero());
      }
    };
    clear(0, first);
    clear(end, keys);
    for (int key = first; key < end; ++key) {
      const int at = key * stride + lane;
      ahead.fetch(2);
      const F weight = exp2(load(scores + at) - log_sum);
      F used = weight, dweight = load(products + at);
      if constexpr (drops) {
        const I stay = stays(head, draw + set1_uint(static_cast<std::uint32_t>(begin + key)));
        used = select(stay, weight * inverse_kept, zero());
        dweight = select(stay, dweight * inverse_kept, zero());
      }
      F dscore = weight * (dweight - product);
      if constexpr (general) {
        if (line) {
          float* bias = line + (keys - 1 - key) + lane;
          store(bias, load(bias) + dscore);
        }
        if (derivative) dscore = dscore * load(derivative + at);
      }
      store(scores + at, used);
      store(products + at, dscore * scale);
    }
  }
}

void add_relative(const QueryBlock& block, const float* line, std::int64_t begin, int keys, float* table) {
  for (int i = 0; i < keys + block.lanes_used - 1; ++i) table[block.place(begin, keys, i)] += line[i];
}

/// Rows as a panel: where they lie when they are whole vectors of float32.
Panel rows_of(DType type, const void* data, std::int64_t stride, int rows, int width, float* copy) {
  if (type == DType::float32 && width % lanes == 0) return {static_cast<const float*>(data), stride};
  copy_rows(type, data, stride, rows, width, copy, whole_vectors(width));
  return {copy, whole_vectors(width)};
}

void backward_block(const QueryBlock& block, const HeadGradients& gradients, Ahead& ahead) {
  const Head& head = block.head;
  const int stride = block.lanes_used, count = block.count, width = head.width, value_width = head.value_width;
  float* const query_columns = head.scratch;  // [width][lanes]
  float* const query_copy = query_columns + query_block * padded(width);
  float* const doutput_columns = query_copy + query_block * padded(width);  // [value width][lanes]
  float* const doutput_copy = doutput_columns + query_block * padded(value_width);
  float* const scores = doutput_copy + query_block * padded(value_width);  // [keys][lanes], so the next two
  float* const products = scores + key_block * query_block;
  float* const derivative = head.soft_cap != 0.0f ? products + key_block * query_block : nullptr;
  float* const key_copy = products + 2 * key_block * query_block;
  float* const value_copy = key_copy + key_block * padded(width);
  float* const line = value_copy + key_block * padded(value_width);
  float* const dline = line + key_block + query_block + lanes;

  const std::int64_t bytes = head.query_type == DType::float32 ? 4 : 2;
  const void* query = static_cast<const char*>(head.query) + block.index * head.query_stride * bytes;
  const float* doutput = gradients.doutput + block.index * gradients.doutput_stride;
  transpose_rows(head.query_type, query, head.query_stride, count, width, query_factor(head), query_columns, stride);
  transpose_rows(DType::float32, doutput, gradients.doutput_stride, count, value_width, 1.0f, doutput_columns, stride);
  const Panel query_rows = rows_of(head.query_type, query, head.query_stride, count, width, query_copy);
  const Panel doutput_rows =
      rows_of(DType::float32, doutput, gradients.doutput_stride, count, value_width, doutput_copy);
  Statistics statistics;
  gather(block, gradients, statistics);

  const bool drops = head.drop_below != 0, general = derivative || gradients.relative;
  const auto weigh_block =
      drops ? (general ? weigh<true, true> : weigh<true, false>) : (general ? weigh<false, true> : weigh<false, false>);
  const Range range = block.keys();
  for (std::int64_t at = range.begin; at < range.end; at += key_block) {
    const int keys = static_cast<int>(smaller(key_block, range.end - at));
    const Seen sight = block.covers(at, at + keys);
    if (sight == Seen::nothing) continue;
    const Panel key = fetch<false>(head, at, keys, true, key_copy);
    const Panel value = fetch<true>(head, at, keys, false, value_copy);
    const bool masked = sight == Seen::some;
    block.each_key_group(at, keys, masked, [&](int row, int rows, int lane, int seeing) {
      const int place = row * stride + lane;
      multiply(rows, seeing, width, {key.data + row * key.stride, key.stride, 1}, {query_columns + lane, stride},
               scores + place, stride, false);
      multiply(rows, seeing, value_width, {value.data + row * value.stride, value.stride, 1},
               {doutput_columns + lane, stride}, products + place, stride, false);
    });
    block.adjust(scores, at, keys, masked, derivative, line);
    if (gradients.relative)
      for (int i = 0; i < keys + stride; ++i) dline[i] = 0.0f;
    weigh_block(block, statistics, scores, products, derivative, gradients.relative ? dline : nullptr, at, keys, masked,
                ahead);
    if (gradients.relative) add_relative(block, dline, at, keys, gradients.relative);
    block.each_key_group(at, keys, masked, [&](int row, int rows, int lane, int seeing) {
      const int place = row * stride + lane, queries = static_cast<int>(smaller(seeing, count - lane));
      if (gradients.value)
        multiply(rows, value_width, queries, {scores + place, stride, 1},
                 {doutput_rows.data + lane * doutput_rows.stride, doutput_rows.stride},
                 gradients.value + (at + row) * gradients.value_stride, gradients.value_stride, true);
      if (gradients.key)
        multiply(rows, width, queries, {products + place, stride, 1},
                 {query_rows.data + lane * query_rows.stride, query_rows.stride},
                 gradients.key + (at + row) * gradients.key_stride, gradients.key_stride, true);
    });
    if (!gradients.query) continue;
    block.each_query_group(at, keys, masked, [&](int row, int rows, int from, int seen) {
      multiply(rows, width, seen, {products + from * stride + row, 1, stride},
               {key.data + from * key.stride, key.stride},
               gradients.query + (block.index + row) * gradients.query_stride, gradients.query_stride, true);
    });
  }
}

void backward(const Head& head, const HeadGradients& gradients, const Head* next, const HeadGradients* next_gradients) {
  Ahead nothing(head, nullptr, nullptr), ahead(head, next, next_gradients);
  for (std::int64_t begin = 0; begin < head.queries; begin += query_block) {
    const bool last = begin + query_block >= head.queries;
    backward_block({head, begin, static_cast<int>(smaller(query_block, head.queries - begin))}, gradients,
                   last ? ahead : nothing);
  }
}

}  // namespace

extern const attention::Backward attention_backward_kernel;
const attention::Backward attention_backward_kernel = {backward};

}  // namespace heed::HEED_ISA
