#include "attention/operands.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "attention/problem.h"
#include "kernels/matmul.h"

namespace heed::attention {

namespace {

View columns(const View& view, std::int64_t begin, std::int64_t width) {
  View part = view;
  part.data = view.as<char>() + begin * size_of(view.dtype);
  part.width = width;
  return part;
}

View matrix(const float* data, std::int64_t rows, std::int64_t width) {
  return {const_cast<float*>(data), DType::float32, rows, width, width};
}

/// Elements of a row as float32; quantised ones times `scale`.
void widen(const void* data, DType dtype, std::int64_t begin, std::int64_t count, float scale, float* to) {
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int64_t at = begin + i;
    switch (dtype) {
      case DType::float32:
        to[i] = static_cast<const float*>(data)[at];
        break;
      case DType::bfloat16:
        to[i] = static_cast<float>(static_cast<const bfloat16*>(data)[at]);
        break;
      case DType::float16:
        to[i] = static_cast<float>(static_cast<const float16*>(data)[at]);
        break;
      case DType::int8:
        to[i] = scale * static_cast<float>(static_cast<const std::int8_t*>(data)[at]);
        break;
      default: {
        const std::uint8_t both = static_cast<const std::uint8_t*>(data)[at / 2];
        const int bits = at % 2 ? both >> 4 : both & 15;
        to[i] = scale * static_cast<float>(bits < 8 ? bits : bits - 16);
      }
    }
  }
}

float squared_norm(const float* row, std::int64_t width) {
  double sum = 0.0;
  for (std::int64_t i = 0; i < width; ++i) sum += static_cast<double>(row[i]) * row[i];
  return static_cast<float>(sum);
}

/// Divides a row by its norm, which is given back; a row of zeros stays.
float normalise(float* row, std::int64_t width) {
  const float norm = std::sqrt(squared_norm(row, width));
  for (std::int64_t i = 0; i < width && norm > 0.0f; ++i) row[i] /= norm;
  return norm;
}

/// to (+)= the gradient of x from that of x/|x|: (d − x̂ (x̂·d)) / |x|; 0 where x is.
void add_through_norm(const float* unit, const float* d, float norm, std::int64_t width, bool add, float* to) {
  double along = 0.0;
  for (std::int64_t i = 0; i < width; ++i) along += static_cast<double>(unit[i]) * d[i];
  for (std::int64_t i = 0; i < width; ++i) {
    const float value = norm > 0.0f ? (d[i] - unit[i] * static_cast<float>(along)) / norm : 0.0f;
    to[i] = add ? to[i] + value : value;
  }
}

}  // namespace

Operands::Operands(const AttentionProblem& problem, ThreadPool& pool)
    : problem_(problem),
      query_(problem.query),
      width_(static_cast<int>(key_width_of(problem))),
      scale_(scale_of(problem)) {
  const Score score = problem.spec.score;
  const std::int64_t rows = problem.query.rows, heads = problem.heads, key_heads = problem.key_value_heads;
  const std::int64_t width = problem.head_width;
  if (!problem.prefixes.empty()) place_prefixes();
  if (score == Score::bilinear) {
    query_memory_ = Tensor({rows, heads * width_}, problem.query.dtype);
    for (std::int64_t head = 0; head < heads; ++head)
      kernels::matmul({.m = rows,
                       .n = width_,
                       .k = width,
                       .a = columns(problem.query, head * width, width),
                       .b = matrix(problem.bilinear + head * width * width_, width, width_),
                       .c = columns(query_memory_.view(), head * width_, width_)},
                      pool);
    query_ = query_memory_.view();
  }
  if (score != Score::cosine && score != Score::euclidean) return;
  const bool cosine = score == Score::cosine;
  if (!cosine) scale_ *= 2.0f;  // −s|q − k|² = 2s·q·k − s|q|² − s|k|²
  const float unit = scale_of(problem);

  for (std::size_t index = 0; index < problem.sequences.size(); ++index) {
    first_key_.push_back(key_rows_);
    key_rows_ += keys(index).count;
  }
  query_norms_ = Tensor({heads, rows});
  key_norms_ = Tensor({key_heads, key_rows_});
  if (cosine) {
    query_memory_ = Tensor({rows, heads * width});
    key_memory_ = Tensor({key_rows_, key_heads * width});
  }
  pool.parallel_for(rows, [&](std::int64_t row) {
    Tensor scratch = cosine ? Tensor() : Tensor({width});
    for (std::int64_t head = 0; head < heads; ++head) {
      float* const to = cosine ? query_memory_.floats() + (row * heads + head) * width : scratch.floats();
      widen(problem.query.data, problem.query.dtype, row * problem.query.row_stride + head * width, width, 1.0f, to);
      query_norms_.floats()[head * rows + row] = cosine ? normalise(to, width) : -unit * squared_norm(to, width);
    }
  });
  if (cosine) query_ = query_memory_.view();
  const std::vector<std::vector<KeyValueSpan>> raw = cosine ? std::exchange(spans_, {}) : spans_;
  if (cosine) spans_.resize(problem.sequences.size());
  pool.parallel_for(static_cast<std::int64_t>(problem.sequences.size()), [&](std::int64_t index) {
    const auto place = static_cast<std::size_t>(index);
    Tensor scratch = cosine ? Tensor() : Tensor({width});
    std::int64_t row = first_key_[place];
    for (const KeyValueSpan& span : raw.empty() ? problem.sequences[place].spans : raw[place]) {
      if (cosine) {
        spans_[place].push_back(span);
        spans_[place].back().key = key_memory_.floats() + row * key_heads * width;
      }
      for (std::int64_t i = 0; i < span.count; ++i, ++row)
        for (std::int64_t head = 0; head < key_heads; ++head) {
          float* const to = cosine ? key_memory_.floats() + (row * key_heads + head) * width : scratch.floats();
          widen(span.key, problem.key_value_dtype, i * problem.key_stride + head * width, width,
                span.key_scale ? span.key_scale[i * key_heads + head] : 1.0f, to);
          key_norms_.floats()[head * key_rows_ + row] = cosine ? normalise(to, width) : -unit * squared_norm(to, width);
        }
    }
  });
}

void Operands::place_prefixes() {
  for (const AttentionSequence& sequence : problem_.sequences) spans_.push_back(sequence.spans);
  prefix_counts_.resize(problem_.sequences.size());
  for (const SharedPrefix& prefix : problem_.prefixes)
    for (const std::size_t index : prefix.sequences) {
      spans_[index].insert(spans_[index].begin(), prefix.spans.begin(), prefix.spans.end());
      prefix_counts_[index] = prefix.count;
    }
}

Operands::Keys Operands::keys(std::size_t sequence) const {
  const std::vector<KeyValueSpan>& spans = spans_.empty() ? problem_.sequences[sequence].spans : spans_[sequence];
  const std::int64_t count =
      problem_.sequences[sequence].key_count + (prefix_counts_.empty() ? 0 : prefix_counts_[sequence]);
  if (key_memory_) return {&spans, count, key_memory_.width(), DType::float32};
  return {&spans, count, problem_.key_stride, problem_.key_value_dtype};
}

std::int64_t Operands::bytes() const {
  std::int64_t sum = 0;
  for (const Tensor* tensor : {&query_memory_, &key_memory_, &query_norms_, &key_norms_})
    if (*tensor) sum += tensor->bytes();
  return sum;
}

const float* Operands::query_term(std::size_t sequence, int head) const {
  if (problem_.spec.score != Score::euclidean) return nullptr;
  return query_norms_.floats() + head * query_norms_.width() + problem_.sequences[sequence].query_begin;
}

const float* Operands::key_term(std::size_t sequence, int key_value_head) const {
  if (problem_.spec.score != Score::euclidean) return nullptr;
  return key_norms_.floats() + key_value_head * key_rows_ + first_key_[sequence];
}

Operands::Gradients Operands::begin_backward(const AttentionGradients& gradients) const {
  Gradients own{gradients.query, gradients.key, gradients.accumulate_query, gradients.accumulate_key, {}, {}, {}, {}};
  const std::int64_t rows = problem_.query.rows;
  std::int64_t key_rows = 0;
  for (const AttentionSequence& sequence : problem_.sequences)
    key_rows = std::max(key_rows, sequence.key_begin + sequence.key_count);
  const Score score = problem_.spec.score;
  const bool query = gradients.query.data || gradients.bilinear, key = gradients.key.data;
  if (((score == Score::bilinear) && query) || (score == Score::cosine && query)) {
    own.query_memory = Tensor({rows, problem_.heads * std::int64_t{width_}});
    own.query = own.query_memory.view();
    own.add_query = false;
  }
  if (score == Score::cosine && key) {
    own.key_memory = Tensor({key_rows, problem_.key_value_heads * std::int64_t{width_}});
    own.key = own.key_memory.view();
    own.add_key = false;
  }
  if (score == Score::euclidean) {
    if (query) own.query_terms = Tensor({problem_.heads, rows});
    if (key) own.key_terms = Tensor({problem_.heads, key_rows});
  }
  return own;
}

void Operands::finish_backward(const AttentionGradients& gradients, const Gradients& own, ThreadPool& pool) const {
  const Score score = problem_.spec.score;
  const std::int64_t rows = problem_.query.rows, heads = problem_.heads, key_heads = problem_.key_value_heads;
  const std::int64_t width = problem_.head_width, group = heads / key_heads;
  if (score == Score::bilinear && own.query_memory) {
    for (std::int64_t head = 0; head < heads; ++head) {
      const float* const weight = problem_.bilinear + head * width * width_;
      const View d = columns(own.query_memory.view(), head * width_, width_);
      if (gradients.query.data)
        kernels::matmul({.m = rows,
                         .n = width,
                         .k = width_,
                         .a = d,
                         .b = matrix(weight, width, width_),
                         .b_transposed = true,
                         .c = columns(gradients.query, head * width, width),
                         .accumulate = gradients.accumulate_query},
                        pool);
      if (gradients.bilinear)
        kernels::matmul({.m = width,
                         .n = width_,
                         .k = rows,
                         .a = columns(problem_.query, head * width, width),
                         .a_transposed = true,
                         .b = d,
                         .c = matrix(gradients.bilinear + head * width * width_, width, width_),
                         .accumulate = true},
                        pool);
    }
  }
  if (own.query_memory && score == Score::cosine && gradients.query.data)
    pool.parallel_for(rows, [&](std::int64_t row) {
      for (std::int64_t head = 0; head < heads; ++head)
        add_through_norm(query_memory_.floats() + (row * heads + head) * width,
                         own.query_memory.floats() + (row * heads + head) * width,
                         query_norms_.floats()[head * rows + row], width, gradients.accumulate_query,
                         gradients.query.floats() + row * gradients.query.row_stride + head * width);
    });
  if (own.query_terms)
    pool.parallel_for(rows, [&](std::int64_t row) {
      Tensor scratch({width});
      for (std::int64_t head = 0; head < heads; ++head) {
        widen(problem_.query.data, problem_.query.dtype, row * problem_.query.row_stride + head * width, width, 1.0f,
              scratch.floats());
        float* const to = gradients.query.floats() + row * gradients.query.row_stride + head * width;
        const float factor = scale_ * own.query_terms.floats()[head * rows + row];  // scale_ is twice the scale
        for (std::int64_t i = 0; i < width; ++i) to[i] -= factor * scratch.floats()[i];
      }
    });
  if (!own.key_memory && !own.key_terms) return;
  pool.parallel_for(static_cast<std::int64_t>(problem_.sequences.size()), [&](std::int64_t index) {
    const AttentionSequence& sequence = problem_.sequences[static_cast<std::size_t>(index)];
    Tensor scratch({width});
    for (std::int64_t i = 0; i < sequence.key_count; ++i)
      for (std::int64_t head = 0; head < key_heads; ++head) {
        const std::int64_t row = sequence.key_begin + i;
        float* const to = gradients.key.floats() + row * gradients.key.row_stride + head * width;
        if (own.key_memory) {
          const std::int64_t from = first_key_[static_cast<std::size_t>(index)] + i;
          add_through_norm(key_memory_.floats() + (from * key_heads + head) * width,
                           own.key_memory.floats() + (row * key_heads + head) * width,
                           key_norms_.floats()[head * key_rows_ + from], width, gradients.accumulate_key, to);
          continue;
        }
        widen(sequence.spans[0].key, problem_.key_value_dtype, i * problem_.key_stride + head * width, width, 1.0f,
              scratch.floats());
        float sum = 0.0f;
        for (std::int64_t member = head * group; member < (head + 1) * group; ++member)
          sum += own.key_terms.floats()[member * own.key_terms.width() + row];
        for (std::int64_t c = 0; c < width; ++c) to[c] -= scale_ * sum * scratch.floats()[c];
      }
  });
}

}  // namespace heed::attention
