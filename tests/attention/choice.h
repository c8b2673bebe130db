#pragma once
// Problems drawn from a choice and a seed, with their memory. No GoogleTest here: the fuzzer uses them too.
#include <heed/attention.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "attention/attend.h"
#include "attention/problem.h"
#include "attention/reference.h"

namespace heed::attention {

/// What a sample is drawn from.
struct Choice {
  AttentionSpec spec;
  int heads = 2, key_value_heads = 1, head_width = 16, value_width = 16;
  int key_width = 0;                                                      ///< of bilinear scores; 0: head_width
  std::vector<std::pair<std::int64_t, std::int64_t>> lengths = {{5, 7}};  ///< queries and keys of each sequence
  DType query_dtype = DType::float32, key_value_dtype = DType::float32, output_dtype = DType::float32;
  std::int64_t span = 0;    ///< rows of a span; 0: one span a sequence
  std::int64_t prefix = 0;  ///< keys that all sequences but each third begin with
  std::int64_t gap = 0;     ///< elements between two rows of queries, keys, values, outputs and gradients
  bool slopes = false;
  std::int64_t reach = -1;  ///< of relative biases; −1: none
  int bias = -1;            ///< which of (sequence, head, query, key) the full bias varies along, as bits; −1: none
  std::vector<Shape> parameters;  ///< of the rule
  bool queries_at_end = true;
  bool guarded = false;     ///< memory ends where a page begins that cannot be touched
  bool accumulate = false;  ///< gradients are added to what was there
  unsigned unwanted = 0;    ///< gradients not asked for: bits 1 query, 2 key, 4 value, 8 what is learned

  bool differentiable() const { return span == 0 && prefix == 0 && !is_quantised(key_value_dtype); }

  std::string text() const {
    std::string text = format(
        "{}; {} heads over {}, widths {}, {} and {}, {} queries, {} keys, {} output, span {}, prefix {}, gap {}, "
        "slopes {}, reach "
        "{}, bias {}, {} parameters, queries at {}, guarded {}, accumulate {}, unwanted {}; lengths",
        spec, heads, key_value_heads, head_width, key_width, value_width, name_of(query_dtype),
        name_of(key_value_dtype), name_of(output_dtype), span, prefix, gap, slopes, reach, bias, parameters.size(),
        queries_at_end ? "end" : "start", guarded, accumulate, unwanted);
    for (const auto& [queries, keys] : lengths) text += format(" {}x{}", queries, keys);
    return text;
  }
};

/// Memory whose end lies at a page that cannot be touched.
inline Tensor guarded_tensor(Shape shape, DType dtype) {
  const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  const auto bytes = static_cast<std::size_t>(shape.elements() * size_of(dtype));
  const std::size_t pages = (bytes + page - 1) / page * page;
  auto* memory =
      static_cast<char*>(mmap(nullptr, pages + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  if (memory == MAP_FAILED) throw Error("no memory of {} bytes", pages + page);
  mprotect(memory + pages, page, PROT_NONE);
  auto* storage = new Storage;
  storage->data = memory;
  storage->bytes = static_cast<std::int64_t>(pages + page);
  storage->release = [](Storage* self) noexcept {
    munmap(self->data, static_cast<std::size_t>(self->bytes));
    delete self;
  };
  return Tensor(storage, memory + pages - bytes, shape, dtype);
}

/// A problem and the memory that it points into.
struct Sample {
  AttentionProblem problem;
  bool guarded;
  Tensor query, key, value, key_scale, value_scale, bilinear, direction, sinks, slopes, relative, bias, output,
      log_sum_exp, doutput;

  Sample(const Choice& choice, std::uint64_t seed, float size = 1.0f) : guarded(choice.guarded) {
    const RandomKey random{seed};
    place_sequences(choice);
    problem.spec = choice.spec;
    problem.heads = choice.heads;
    problem.key_value_heads = choice.key_value_heads;
    problem.head_width = choice.head_width;
    problem.value_width = choice.value_width;
    problem.key_width = choice.key_width;
    problem.key_value_dtype = choice.key_value_dtype;
    problem.dropout_key = random.fold(4);
    gap_ = choice.gap;
    query = rows(query_rows_, choice.heads * choice.head_width, choice.query_dtype, random.fold(0), size);
    problem.query = view_of(query);
    key = keys(choice.key_value_heads * key_width_of(problem), random.fold(1), size);
    value = keys(choice.key_value_heads * choice.value_width, random.fold(2), size);
    problem.key_stride = stride_of(key);
    problem.value_stride = stride_of(value);
    doutput = rows(query_rows_, output_width(), DType::float32, random.fold(3), size);
    output = rows(query_rows_, output_width(), choice.output_dtype, random, 0.0f);
    log_sum_exp = tensor({choice.heads, query_rows_});
    draw_operands(choice, random, size);
    for (AttentionSequence& sequence : problem.sequences)
      sequence.spans = spans_of(sequence.key_begin, sequence.key_count, choice.span);
    for (SharedPrefix& prefix : problem.prefixes)
      prefix.spans = spans_of(key_rows_ - prefix.count, prefix.count, choice.span);
  }

  /// `size` times normal numbers, plus `mean`.
  Tensor draw(Shape shape, RandomKey random, float size, float mean = 0.0f) const {
    Tensor result = tensor(shape);
    for (std::int64_t i = 0; i < result.elements(); ++i)
      result.floats()[i] = mean + (size == 0.0f ? 0.0f : size * normal(random, static_cast<std::uint64_t>(i)));
    return result;
  }

  /// Rows without the gaps in front of them.
  View view_of(const Tensor& rows) const {
    return {static_cast<char*>(rows.data()) + gap_ * size_of(rows.dtype()), rows.dtype(), rows.rows(),
            rows.width() - gap_, rows.width()};
  }
  std::int64_t output_width() const { return std::int64_t{problem.heads} * problem.value_width; }
  std::int64_t query_rows() const { return query_rows_; }
  std::int64_t key_rows() const { return key_rows_; }

  void forward(ThreadPool& pool, kernels::InstructionSet set = kernels::chosen()) {
    attention::forward(problem, view_of(output), log_sum_exp.floats(), pool, set);
  }
  std::vector<double> doutput_in_double() const { return elements_of(view_of(doutput)); }
  /// The elements of rows that may have gaps between them.
  static std::vector<double> elements_of(const View& view) {
    std::vector<double> all;
    for (std::int64_t row = 0; row < view.rows; ++row)
      for (std::int64_t c = 0; c < view.width; ++c) {
        const std::int64_t i = row * view.row_stride + c;
        all.push_back(view.dtype == DType::bfloat16 ? static_cast<float>(view.as<bfloat16>()[i]) : view.floats()[i]);
      }
    return all;
  }

 private:
  Tensor tensor(Shape shape, DType dtype = DType::float32) const {
    return guarded ? guarded_tensor(shape, dtype) : Tensor(shape, dtype);
  }

  void place_sequences(const Choice& choice) {
    std::vector<std::size_t> begun;
    for (const auto& [queries, keys] : choice.lengths) {
      AttentionSequence sequence;
      sequence.query_begin = query_rows_;
      sequence.query_count = queries;
      const bool shares = choice.prefix > 0 && problem.sequences.size() % 3 != 2;
      sequence.query_position = choice.queries_at_end ? keys - queries + (shares ? choice.prefix : 0) : 0;
      if (shares) begun.push_back(problem.sequences.size());
      sequence.key_begin = key_rows_;
      sequence.key_count = keys;
      problem.sequences.push_back(sequence);
      query_rows_ += queries;
      key_rows_ += keys;
    }
    if (begun.empty()) return;
    problem.prefixes.push_back({{}, choice.prefix, begun});  // its rows lie behind those of the sequences
    key_rows_ += choice.prefix;
  }

  /// Rows of normal numbers, in front of each a gap of NaN.
  Tensor rows(std::int64_t count, std::int64_t width, DType dtype, RandomKey random, float size) const {
    Tensor whole({count, gap_ + width});
    for (std::int64_t i = 0; i < whole.elements(); ++i)
      whole.floats()[i] = i % whole.width() < gap_ ? std::numeric_limits<float>::quiet_NaN()
                          : size == 0.0f           ? 0.0f
                                                   : size * normal(random, static_cast<std::uint64_t>(i));
    const Tensor converted = whole.to(dtype), result = tensor(whole.shape(), dtype);
    if (count > 0) std::memcpy(result.data(), converted.data(), static_cast<std::size_t>(converted.bytes()));
    return result;
  }

  /// Rows of keys or values in the choice's type. Integers are of any value; two int4 are one element of the tensor.
  Tensor keys(std::int64_t width, RandomKey random, float size) const {
    const DType dtype = problem.key_value_dtype;
    if (!is_quantised(dtype)) return rows(key_rows_, width, dtype, random, size);
    Tensor result = tensor({key_rows_, gap_ + (dtype == DType::q4 ? (width + 1) / 2 : width)}, DType::int8);
    for (std::int64_t i = 0; i < result.elements(); ++i)
      result.as<std::int8_t>()[i] = static_cast<std::int8_t>(bits(random, static_cast<std::uint64_t>(i)));
    return result;
  }
  std::int64_t stride_of(const Tensor& keys) const {
    return keys.width() * (problem.key_value_dtype == DType::q4 ? 2 : 1);
  }

  void draw_operands(const Choice& choice, RandomKey random, float size) {
    const std::int64_t heads = choice.heads, width = choice.head_width;
    const auto pointer = [](const Tensor& tensor) { return tensor.floats(); };
    if (choice.spec.score == Score::bilinear) {
      const float each = size / std::sqrt(static_cast<float>(width));
      bilinear = draw({heads, width, key_width_of(problem)}, random.fold(7), each);
      problem.bilinear = pointer(bilinear);
    }
    if (choice.spec.score == Score::additive) {
      direction = draw({heads, width}, random.fold(8), size);
      problem.direction = pointer(direction);
    }
    if (choice.spec.normaliser == Normaliser::softmax_sink) {
      sinks = draw({heads}, random.fold(10), size);
      problem.sinks = pointer(sinks);
    }
    if (choice.slopes) {
      slopes = draw({heads}, random.fold(5), 0.1f);
      problem.slopes = pointer(slopes);
    }
    if (choice.reach >= 0) {
      relative = draw({heads, 2 * choice.reach + 1}, random.fold(6), size);
      problem.relative = pointer(relative);
      problem.relative_reach = choice.reach;
    }
    if (choice.bias >= 0) draw_bias(choice, random.fold(11), size);
    for (std::size_t i = 0; i < choice.parameters.size(); ++i)
      problem.parameters.push_back(draw(choice.parameters[i], random.fold(12).fold(i), size));
    if (!is_quantised(choice.key_value_dtype)) return;
    // Integers of mean square 127²/3 or 8²/3 become numbers of about `size`, each row of another scale.
    const float scale = size * (choice.key_value_dtype == DType::int8 ? 1.0f / 73.0f : 1.0f / 4.6f);
    key_scale = draw({key_rows_, choice.key_value_heads}, random.fold(13), 0.1f * scale, scale);
    value_scale = draw({key_rows_, choice.key_value_heads}, random.fold(14), 0.1f * scale, scale);
  }

  void draw_bias(const Choice& choice, RandomKey random, float size) {
    Shape shape = {static_cast<std::int64_t>(choice.lengths.size()), choice.heads, 1, 1};
    std::int64_t extents[4] = {shape[0], shape[1], 1, 1}, elements = 1;
    for (const auto& [queries, keys] : choice.lengths) {
      extents[2] = std::max(extents[2], queries);
      extents[3] = std::max(extents[3], choice.prefix + keys);
    }
    for (int i = 3; i >= 0; --i) {
      if ((choice.bias >> i & 1) == 0) continue;  // a stride of 0
      problem.bias.strides[i] = elements;
      elements *= extents[i];
    }
    bias = draw({elements}, random, size);
    problem.bias.data = bias.floats();
  }

  /// `count` rows from `begin` on in spans of at most `most` (0: one), the last in memory first.
  std::vector<KeyValueSpan> spans_of(std::int64_t begin, std::int64_t count, std::int64_t most) const {
    std::vector<KeyValueSpan> spans;
    if (most == 0) most = std::max<std::int64_t>(count, 1);
    std::int64_t row = begin + count;
    for (std::int64_t done = 0; done < count; done += most) {
      const std::int64_t here = std::min(most, count - done);
      row -= here;
      const auto at = [&](const Tensor& tensor) {
        return view_of(tensor).as<const char>() + row * tensor.width() * size_of(tensor.dtype());
      };
      const auto scale_at = [&](const Tensor& scale) { return scale ? scale.floats() + row * scale.width() : nullptr; };
      spans.push_back({at(key), at(value), here, scale_at(key_scale), scale_at(value_scale)});
    }
    return spans;
  }

  std::int64_t query_rows_ = 0, key_rows_ = 0, gap_ = 0;
};

/// Gradients as tensors: those that are written begin with NaN, so that anything not written shows; those that are
/// added to begin with 0, or with 1 where the choice accumulates.
struct SampleGradients {
  Tensor query, key, value, bilinear, direction, sinks, slopes, relative, bias;
  std::vector<Tensor> parameters;
  AttentionGradients to;

  explicit SampleGradients(const Sample& sample, bool accumulate = false, unsigned unwanted = 0) {
    const auto tensor = [&](const Tensor& like, float begin) {
      Tensor result = sample.guarded ? guarded_tensor(like.shape(), DType::float32) : Tensor(like.shape());
      result.fill(begin);
      return result;
    };
    const auto rows = [&](const Tensor& like, Tensor& own, bool wanted) {
      own = tensor(like, std::numeric_limits<float>::quiet_NaN());
      const View view = sample.view_of(own);
      for (std::int64_t row = 0; accumulate && row < view.rows; ++row)
        std::fill_n(view.floats() + row * view.row_stride, view.width, 1.0f);
      return wanted ? view : View{};
    };
    const auto learned = [&](const Tensor& like, Tensor& own) {
      if (!like || (unwanted & 8) != 0) return static_cast<float*>(nullptr);
      own = tensor(like, accumulate ? 1.0f : 0.0f);
      return own.floats();
    };
    to.query = rows(sample.query, query, (unwanted & 1) == 0);
    to.key = rows(sample.key, key, (unwanted & 2) == 0);
    to.value = rows(sample.value, value, (unwanted & 4) == 0);
    to.accumulate_query = to.accumulate_key = to.accumulate_value = accumulate;
    to.bilinear = learned(sample.bilinear, bilinear);
    to.direction = learned(sample.direction, direction);
    to.sinks = learned(sample.sinks, sinks);
    to.slopes = learned(sample.slopes, slopes);
    to.relative = learned(sample.relative, relative);
    to.bias = learned(sample.bias, bias);
    parameters.resize(sample.problem.parameters.size());
    for (std::size_t i = 0; i < parameters.size(); ++i)
      to.parameters.push_back(learned(sample.problem.parameters[i], parameters[i]));
  }
  void backward(const Sample& sample, ThreadPool& pool, kernels::InstructionSet set = kernels::chosen()) {
    attention::backward(sample.problem, sample.view_of(sample.output), sample.log_sum_exp.floats(),
                        sample.view_of(sample.doutput), to, pool, set);
  }
};

}  // namespace heed::attention
