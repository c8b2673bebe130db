#pragma once
// A chunk of keys and values, packed once for many queries, and the scores of queries against it.
#include "attention/cpu/additive.h"

namespace heed::HEED_ISA {

using attention::key_chunk;

/// A row of the output: `sums` times `factor`.
[[maybe_unused]] static void write_row(const Head& head, std::int64_t row, const float* sums, float factor) {
  for (int i = 0; i < head.value_width; i += lanes) {
    const int count = tail_of(head.value_width - i);
    const F value = load(sums + i) * set1(factor);
    const std::int64_t at = row * head.output_stride + i;
    if (head.output_type == DType::float32)
      count == lanes ? store(static_cast<float*>(head.output) + at, value)
                     : store(static_cast<float*>(head.output) + at, value, count);
    else
      count == lanes ? store_bfloat16(static_cast<std::uint16_t*>(head.output) + at, value)
                     : store_bfloat16(static_cast<std::uint16_t*>(head.output) + at, value, count);
  }
}

template <class Units>
class KeyChunk {
 public:
  KeyChunk(const Head& head, std::int64_t begin, int count, attention::Scratch& scratch)
      : head_(head),
        begin_(begin),
        count_(count),
        units_(units_of<Units>(head.width)),
        value_stride_(padded(head.value_width)) {
    panels_ = scratch.take(std::int64_t{key_chunk} * padded(units_));
    value_copy_ = scratch.take(key_chunk * value_stride_);
    query_copy_ = scratch.take(group_rows * padded(head.width));
    adjust_ = {scratch.take(key_chunk + 64), scratch.take(head.rule_scratch()), nullptr, &strips_};
    key_widened_ = is_quantised(head.key_type) ? scratch.take(key_chunk * padded(head.width)) : nullptr;
    value_widened_ = is_quantised(head.value_type) ? scratch.take(key_chunk * padded(head.value_width)) : nullptr;
  }

  /// Packs keys [at, at + keys).
  void pack_keys(std::int64_t at, int keys) {
    at_ = at;
    keys_ = keys;
    const char* rows[key_chunk];
    if (key_widened_)
      point_widened<false>(head_, at, keys, rows, key_widened_);
    else
      point<false>(head_, at, keys, rows);
    point_values();
    for (int i = 0; i < 2 * group_rows; ++i) ask_for_query(i);
    pack_columns<Units>({rows, key_widened_ ? DType::float32 : head_.key_type, keys, head_.width}, values_, panels_);
    if (head_.direction) {
      clear_beyond(panels_, keys, units_);
      form_ = exponentiate(panels_, (keys + panel_width - 1) / panel_width * panel_width * std::int64_t{units_});
    }
  }

  /// The values of the same keys as the right factor of a sum over keys. Rows that lie densely are used where they are;
  /// otherwise they would be pages apart, and fight for the same sets of the caches each time they are read.
  Panel pack_values() {
    if (lies_in_units<Units>(head_.value_type) && Units::elements == 1 && head_.value_width % lanes == 0 &&
        head_.value_stride == head_.value_width && head_.span_count == 1)
      return {reinterpret_cast<const float*>(value_rows_[0]), head_.value_stride};
    pack_across<Units>(values_, value_copy_, value_stride_);
    return {value_copy_, value_stride_};
  }
  /// Where only values are wanted.
  Panel pack_values(std::int64_t at, int keys) {
    at_ = at;
    keys_ = keys;
    point_values();
    return pack_values();
  }

  /// Scores of queries [row, row + rows) of the piece, at most a group; `scores` is that of the chunk's first key.
  void score(int row, int rows, const Sight& sight, const Runs& runs, float* scores, std::int64_t stride) {
    for (int i = 0; i < group_rows; ++i) ask_for_query(row + 2 * group_rows + i);
    if (head_.direction)
      additive(row, rows, runs, scores, stride);
    else
      product(row, rows, runs, scores, stride);
    adjust({head_, true, begin_ + row, at_, rows, keys_, stride}, sight, runs, row, scores, nullptr, adjust_);
  }

 private:
  void point_values() {
    if (value_widened_)
      point_widened<true>(head_, at_, keys_, value_rows_, value_widened_);
    else
      point<true>(head_, at_, keys_, value_rows_);
    values_ = {value_rows_, value_widened_ ? DType::float32 : head_.value_type, keys_, head_.value_width};
  }
  const char* query(int row) const {
    return static_cast<const char*>(head_.query) + (begin_ + row) * head_.query_stride * bytes_of(head_.query_type);
  }
  void ask_for_query(int row) const {
    if (row < count_ && count_ > attention::Ahead::most_rows)
      ask_for(query(row), head_.width * bytes_of(head_.query_type));
  }

  template <class Function>
  HEED_INLINE void each_part(const Runs& runs, Function f) const {
    for (int i = 0; i < runs.count; ++i)
      for (int column = runs.run[i].begin; column < runs.run[i].end;) {
        const int inside = column % panel_width;
        const int columns = static_cast<int>(smaller(panel_width - inside, runs.run[i].end - column));
        f(column, columns, panels_ + column / panel_width * panel_width * units_ + inside);
        column += columns;
      }
  }

  void product(int row, int rows, const Runs& runs, float* scores, std::int64_t stride) {
    const Factor factor =
        along<Units>(head_.query_type, query(row), head_.query_stride, rows, head_.width, query_copy_);
    for (int i = 0; i < runs.count; ++i)
      multiply_panels<Units>(rows, runs.run[i].begin, runs.run[i].end, units_, factor, panels_, scores, stride);
  }

  void additive(int row, int rows, const Runs& runs, float* scores, std::int64_t stride) {
    const std::int64_t width = padded(head_.width);
    const char* pointers[group_rows];
    for (int i = 0; i < rows; ++i) pointers[i] = query(row + i);
    pack_across<Float32Units>({pointers, head_.query_type, rows, head_.width}, query_copy_, width);
    Form form = form_;
    if (form == Form::exponential) form = exponentiate_rows(query_copy_, rows, width);
    if (form == Form::plain && form_ == Form::exponential) {
      // These queries are too large, the keys are not: back to the keys as they are.
      form_ = Form::plain;
      for (std::int64_t i = 0; i < std::int64_t{key_chunk} * units_; i += lanes)
        store(panels_ + i, log(load(panels_ + i)) * set1(0.5f));
    }
    each_part(runs, [&](int column, int columns, const float* panel) {
      additive_scores(form, rows, columns, head_.width, query_copy_, width, panel, head_.direction, scores + column,
                      stride);
    });
  }
  Form exponentiate_rows(float* rows, int count, std::int64_t stride) const {
    // Elements between the width and whole vectors are zeros; between those and the stride nothing is read.
    for (int i = 0; i < count; ++i)
      for (std::int64_t c = whole_vectors(head_.width); c < stride; c += lanes) store(rows + i * stride + c, zero());
    return exponentiate(rows, count * stride);
  }

  const Head& head_;
  std::int64_t begin_;
  int count_, units_;
  std::int64_t value_stride_;
  std::int64_t at_ = 0;
  int keys_ = 0;
  float *panels_, *value_copy_, *query_copy_, *key_widened_, *value_widened_;
  AdjustScratch adjust_;
  attention::StripMemory strips_;
  const char* value_rows_[key_chunk];
  Rows values_{};
  Form form_ = Form::plain;
};

}  // namespace heed::HEED_ISA
