#include "attention/cpu/additive.h"
#include "attention/cpu/turn.h"

// Attention backward: weights are computed again from scores and log-sum-exp, block by block (Dao et al. 2022,
// arXiv:2205.14135, algorithm 4). With P the weights, D = rowsum(dO ∘ O):
//   dV = Pᵀ dO,  dP = dO Vᵀ,  dS = P ∘ (dP − D),  dQ = scale · dS K,  dK = scale · dSᵀ Q.
// Scores lie as rows of keys with queries in lanes: Sᵀ = K·Qᵀ and dPᵀ = V·dOᵀ take K and V as they lie and the queries
// packed once for all keys; Pᵀ and dSᵀ are, as they come out, the left factors of dV and dK, and dSᵀ the right one of
// dQᵀ = Kᵀ·dSᵀ. So no tile is ever transposed but dQᵀ, once, at the end.
namespace heed::HEED_ISA {

namespace {

using attention::HeadGradients;
using attention::key_block;
using attention::longest_strip;
using attention::query_block;

template <class Units>
class Piece {
 public:
  Piece(const Head& head, const HeadGradients& gradients, std::int64_t begin, int count, const attention::Ahead& ahead)
      : head_(head),
        to_(gradients),
        begin_(begin),
        count_(count),
        stride_(padded(count)),
        ahead_(ahead, (head.keys + group_rows - 1) / group_rows) {
    attention::Scratch scratch(head.scratch);
    const std::int64_t panel_columns = (count + panel_width - 1) / panel_width * panel_width;
    query_panels_ = scratch.take(panel_columns * padded(units_of<Units>(head.width)));
    doutput_panels_ = scratch.take(panel_columns * padded(units_of<Units>(head.value_width)));
    query_across_ = scratch.take(count * padded(head.width));
    doutput_across_ = scratch.take(count * padded(head.value_width));
    dquery_ = scratch.take(head.width * stride_);
    scores_ = scratch.take(group_rows * stride_);
    products_ = scratch.take(group_rows * stride_);
    weights_ = Units::elements == 1 ? scores_ : scratch.take(group_rows * stride_ / 2);
    dscores_ = Units::elements == 1 ? products_ : scratch.take(group_rows * stride_ / 2);
    block_ = scratch.take(units_of<Units>(key_block) * stride_);
    derivative_ = has_derivative() ? scratch.take(group_rows * stride_) : nullptr;
    key_copy_ = scratch.take(key_block * padded(head.width));
    value_copy_ = scratch.take(key_block * padded(head.value_width));
    key_across_ = scratch.take(key_block * padded(head.width));
    log_sum_ = scratch.take(stride_);
    product_ = scratch.take(stride_);
    line_ = scratch.take(longest_strip + 64);
    slopes_ = scratch.take(stride_);
    row_sums_ = head.direction ? scratch.take(std::int64_t{group_rows} * lanes * head.width) : nullptr;
    direction_sums_ = head.direction ? scratch.take(std::int64_t{lanes} * head.width) : nullptr;
    adjust_ = {scratch.take(longest_strip + 64), scratch.take(head.rule_scratch()),
               gradients.parameters ? scratch.take(group_rows * stride_) : nullptr, &strips_};
  }

  void run() {
    gather();
    if (to_.serial) await_turn(to_, every_block - 1);
    if (head_.direction)
      for (std::int64_t i = 0; i < std::int64_t{lanes} * head_.width; i += lanes) store(direction_sums_ + i, zero());
    each_block([&](std::int64_t at, int keys, const Sight* sight) {
      await_turn(to_, at / key_block);
      if (sight) block(at, keys, *sight);
      finish_turn(to_, at / key_block);
    });
    if (to_.query) write_query();
    for (int i = 0; to_.direction && i < head_.width; ++i)
      to_.direction[i] += reduce_add(load(direction_sums_ + i * lanes));
    finish_all_turns(to_);
  }

  /// Of each query the mean of its weights' gradients, each counted by the slope of its weight in its score.
  void average(float* product) {
    gather();
    averages_ = true;
    for (std::int64_t i = 0; i < stride_; i += lanes) {
      store(product_ + i, zero());
      store(slopes_ + i, zero());
    }
    each_block([&](std::int64_t at, int keys, const Sight* sight) {
      if (sight) block(at, keys, *sight);
    });
    for (int i = 0; i < count_; ++i) product[begin_ + i] = slopes_[i] > 0.0f ? product_[i] / slopes_[i] : 0.0f;
  }

 private:
  template <class Function>
  void each_block(Function f) const {
    const std::int64_t position = head_.position + begin_;
    const Range range = all_keys_seen(head_, position, position + count_ - 1);
    for (std::int64_t at = range.begin / key_block * key_block; at < range.end; at += key_block) {
      const int keys = static_cast<int>(smaller(key_block, range.end - at));
      const Sight sight(head_, false, position, count_, at, keys);
      f(at, keys, sight.nothing() ? nullptr : &sight);
    }
  }

  bool has_derivative() const {
    return head_.soft_cap != 0.0f || (head_.has_rule() && !head_.program->derivative_is_one);
  }
  Factor rows_of(const void* data, DType type, std::int64_t stride, std::int64_t count, int width, float* copy) const {
    return along<Units>(type, data, stride, count, width, copy);
  }

  /// Packs the queries and their gradients, and computes what the softmax needs to know of each query.
  void gather() {
    const char* rows[query_block];
    const std::int64_t bytes = bytes_of(head_.query_type) * head_.query_stride;
    for (int i = 0; i < count_; ++i) rows[i] = static_cast<const char*>(head_.query) + (begin_ + i) * bytes;
    pack_columns<Units>({rows, head_.query_type, count_, head_.width}, {}, query_panels_);
    query_rows_ = across({rows, head_.query_type, count_, head_.width}, head_.query_stride, query_across_);
    for (int i = 0; i < count_; ++i)
      rows[i] = reinterpret_cast<const char*>(to_.doutput + (begin_ + i) * to_.doutput_stride);
    pack_columns<Units>({rows, DType::float32, count_, head_.value_width}, {}, doutput_panels_);
    if (head_.keys > 0) {
      point<false>(head_, 0, 1, &first_key_);
      point<true>(head_, 0, 1, &first_value_);
    }
    if (head_.direction) {
      clear_beyond(query_panels_, count_, head_.width);
      form_ = exponentiate(query_panels_,
                           (count_ + panel_width - 1) / panel_width * panel_width * std::int64_t{head_.width});
    }
    doutput_rows_ = across({rows, DType::float32, count_, head_.value_width}, to_.doutput_stride, doutput_across_);

    const float unit = unit_of(head_);
    const std::int64_t output_bytes = bytes_of(head_.output_type);
    for (int i = 0; i < stride_; ++i) {
      // What no query stands for, and a query that sees no key: every weight comes out as 0.
      log_sum_[i] = infinity;
      product_[i] = 0.0f;
      if (i >= count_) continue;
      const std::int64_t row = begin_ + i;
      const float log_sum = head_.log_sum_exp[row];
      if (log_sum != -infinity) log_sum_[i] = log_sum * unit;
      if (to_.product) {
        product_[i] = to_.product[row];
        continue;
      }
      const void* output = static_cast<const char*>(head_.output) + row * head_.output_stride * output_bytes;
      const float* doutput = to_.doutput + row * to_.doutput_stride;
      F sum = zero();
      with_type(head_.output_type, output, [&](auto* from) {
        for (int c = 0; c < head_.value_width; c += lanes) {
          const int columns = tail_of(head_.value_width - c);
          sum = fma(load_floats(from + c, columns), load_floats(doutput + c, columns), sum);
        }
      });
      product_[i] = reduce_add(sum);
    }
    for (std::int64_t i = 0; i < head_.width * stride_; i += lanes) store(dquery_ + i, zero());
  }

  /// Rows as a factor of a sum over them, close together: rows that are read again and again must not lie whole pages
  /// apart, where they fight for the same sets of the caches.
  Panel across(const Rows& rows, std::int64_t stride, float* copy) const {
    if (lies_in_units<Units>(rows.type) && Units::elements == 1 && rows.width % lanes == 0 && stride == rows.width)
      return {reinterpret_cast<const float*>(rows.row[0]), stride};
    pack_across<Units>(rows, copy, padded(rows.width));
    return {copy, padded(rows.width)};
  }

  void block(std::int64_t at, int keys, const Sight& sight) {
    const char* rows[key_block];
    const DType type = head_.key_type;
    point<true>(head_, at, 1, rows);
    const Factor values = rows_of(rows[0], head_.value_type, head_.value_stride, keys, head_.value_width, value_copy_);
    point<false>(head_, at, 1, rows);
    const Factor key_rows = rows_of(rows[0], type, head_.key_stride, keys, head_.width, key_copy_);
    // The same keys as the left factor of a sum over keys.
    point<false>(head_, at, keys, rows);
    const Panel key_columns = across({rows, type, keys, head_.width}, head_.key_stride, key_across_);
    if (head_.direction) exponentiate_keys({rows, type, keys, head_.width});
    for (int row = 0; row < keys; row += group_rows) {
      const int count = static_cast<int>(smaller(group_rows, keys - row));
      group(at, row, count, sight, values, key_rows);
    }
    if (!to_.query || averages_ || head_.direction) return;
    // Of the keys each vector of queries needs those that it sees; neighbours that see the same go together.
    const int vectors = whole_vectors(count_) / lanes;
    for (int first = 0; first < vectors;) {
      const Range range = rows_seen_[first];
      int end = first + 1;
      while (end < vectors && rows_seen_[end].begin == range.begin && rows_seen_[end].end == range.end) ++end;
      const int from = static_cast<int>(range.begin) / Units::elements, to = units_of<Units>(range.end);
      if (from < to)
        multiply<Units>(head_.width, (end - first) * lanes, to - from,
                        {key_columns.data + from * key_columns.stride, 1, key_columns.stride},
                        {block_ + from * stride_ + first * lanes, stride_}, dquery_ + first * lanes, stride_, true);
      first = end;
    }
  }

  /// Keys of additive scores, in the form of the queries.
  void exponentiate_keys(const Rows& rows) {
    const std::int64_t stride = padded(rows.width);
    pack_across<Float32Units>(rows, key_across_, stride);
    for (int i = 0; i < rows.count; ++i)
      for (std::int64_t c = whole_vectors(rows.width); c < stride; c += lanes)
        store(key_across_ + i * stride + c, zero());
    if (form_ == Form::plain || exponentiate(key_across_, rows.count * stride) == Form::exponential) return;
    // These keys are too large, the queries are not: back to the queries as they are.
    form_ = Form::plain;
    const std::int64_t columns = (count_ + panel_width - 1) / panel_width * panel_width;
    for (std::int64_t i = 0; i < columns * rows.width; i += lanes)
      store(query_panels_ + i, log(load(query_panels_ + i)) * set1(0.5f));
  }

  void group(std::int64_t at, int row, int rows, const Sight& sight, const Factor& values, const Factor& key_rows) {
    const Runs runs = sight.runs(row, rows);
    float* const dscores = Units::elements == 1 ? block_ + row * stride_ : products_;
    if (row == 0)
      for (Range& range : rows_seen_) range = {0, 0};
    note(row, rows, runs);
    const Strip strip{head_, false, at + row, begin_, rows, count_, stride_};
    ask_for_next(at + row, rows);
    if (runs.count == 0) return;
    const int units = units_of<Units>(head_.width), value_units = units_of<Units>(head_.value_width);
    for (int i = 0; i < runs.count && !head_.direction; ++i)
      multiply_panels<Units>(rows, runs.run[i].begin, runs.run[i].end, units,
                             {key_rows.data + row * key_rows.row_stride, key_rows.row_stride, 1}, query_panels_,
                             scores_, stride_);
    for (int i = 0; i < runs.count; ++i)
      multiply_panels<Units>(rows, runs.run[i].begin, runs.run[i].end, value_units,
                             {values.data + row * values.row_stride, values.row_stride, 1}, doutput_panels_, dscores,
                             stride_);
    if (head_.direction)
      each_part(runs, [&](int column, int columns) {
        additive_scores(form_, rows, columns, head_.width, key_across_ + row * padded(head_.width), padded(head_.width),
                        query_panels_ + column / panel_width * panel_width * units + column % panel_width,
                        head_.direction, scores_ + column, stride_);
      });
    adjust(strip, sight, runs, row, scores_, derivative_, adjust_);
    for (int i = 0; i < runs.count; ++i) weigh_run(strip, runs.run[i], dscores);
    if (averages_) return;
    ahead_.some();
    extra_gradients(strip, runs, dscores);
    finish(strip, runs, row, dscores);
    if (head_.direction) additive_backward(strip, runs, dscores);
    for (int i = 0; i < runs.count; ++i) {
      const Runs::Run& run = runs.run[i];
      const int from = run.first / Units::elements, to = units_of<Units>(run.last);
      const std::int64_t unit_stride = stride_ / Units::elements;
      if (to_.value)
        multiply<Units>(rows, head_.value_width, to - from, {weights_ + from, unit_stride, 1},
                        {doutput_rows_.data + from * doutput_rows_.stride, doutput_rows_.stride},
                        to_.value + (at + row) * to_.value_stride, to_.value_stride, true);
      if (to_.key && !head_.direction)
        multiply<Units>(rows, head_.width, to - from,
                        {Units::elements == 1 ? dscores + from : dscores_ + from, unit_stride, 1},
                        {query_rows_.data + from * query_rows_.stride, query_rows_.stride},
                        to_.key + (at + row) * to_.key_stride, to_.key_stride, true);
    }
  }

  /// Keys and values of the next block, and the gradients of the next group.
  void ask_for_next(std::int64_t key, int rows) const {
    const std::int64_t bytes = bytes_of(head_.key_type), value_bytes = bytes_of(head_.value_type);
    for (std::int64_t row = key + key_block; row < smaller(key + key_block + rows, head_.keys); ++row) {
      ask_for(first_key_ + row * head_.key_stride * bytes, head_.width * bytes);
      ask_for(first_value_ + row * head_.value_stride * value_bytes, head_.value_width * value_bytes);
    }
    for (std::int64_t row = key + rows; row < smaller(key + rows + group_rows, head_.keys); ++row) {
      if (to_.key) ask_for(reinterpret_cast<const char*>(to_.key + row * to_.key_stride), head_.width * 4);
      if (to_.value) ask_for(reinterpret_cast<const char*>(to_.value + row * to_.value_stride), head_.value_width * 4);
    }
  }

  void additive_backward(const Strip& strip, const Runs& runs, const float* dscores) {
    const std::int64_t width = head_.width;
    for (std::int64_t i = 0; i < strip.rows * width * lanes; i += lanes) store(row_sums_ + i, zero());
    const float* const rows = key_across_ + strip.row % key_block * padded(width);
    const auto add =
        form_ == Form::exponential ? additive_gradients<Form::exponential, 1> : additive_gradients<Form::plain, 1>;
    const auto add_two =
        form_ == Form::exponential ? additive_gradients<Form::exponential, 2> : additive_gradients<Form::plain, 2>;
    each_part(runs, [&](int column, int columns) {
      for (int c = column; c < column + columns;) {
        const int vectors = column + columns - c >= 2 * lanes ? 2 : 1;
        (vectors == 2 ? add_two : add)(strip.rows, head_.width, rows, padded(width),
                                       query_panels_ + c / panel_width * panel_width * width + c % panel_width,
                                       head_.direction, dscores + c, stride_, dquery_ + c, stride_, row_sums_,
                                       direction_sums_);
        c += vectors * lanes;
      }
    });
    for (int r = 0; to_.key && r < strip.rows; ++r) {
      float* const to = to_.key + (strip.row + r) * to_.key_stride;
      for (std::int64_t i = 0; i < width; ++i) to[i] += reduce_add(load(row_sums_ + (r * width + i) * lanes));
    }
  }

  template <class Function>
  HEED_INLINE void each_part(const Runs& runs, Function f) const {
    for (int i = 0; i < runs.count; ++i)
      for (int column = runs.run[i].begin; column < runs.run[i].end;) {
        const int columns = static_cast<int>(smaller(panel_width - column % panel_width, runs.run[i].end - column));
        f(column, columns);
        column += columns;
      }
  }

  /// Which keys each vector of queries sees, from the first to the last; what lies between and is not seen is 0.
  void note(int row, int rows, const Runs& runs) {
    for (int k = 0; k < runs.count; ++k)
      for (int i = runs.run[k].begin; i < runs.run[k].end; i += lanes) {
        Range& range = rows_seen_[i / lanes];
        if (range.begin == range.end) range = {row, row};
        for (std::int64_t unit = units_of<Units>(range.end); unit < row / Units::elements; ++unit)
          store(block_ + unit * stride_ + i, zero());
        range.end = row + rows;
      }
  }

  /// S → P (dropped ones 0, the others divided by what is kept); dP → dS, of the scores as they were normalised.
  void weigh_run(const Strip& strip, const Runs::Run& run, float* dscores) {
    if (head_.normaliser <= Normaliser::softmax_sink)
      head_.drop_below ? weigh<Normaliser::softmax, true>(strip, run, dscores)
                       : weigh<Normaliser::softmax, false>(strip, run, dscores);
    else if (head_.normaliser == Normaliser::sigmoid)
      weigh<Normaliser::sigmoid, true>(strip, run, dscores);
    else if (head_.normaliser == Normaliser::sparsemax)
      weigh<Normaliser::sparsemax, true>(strip, run, dscores);
    else
      weigh<Normaliser::entmax15, true>(strip, run, dscores);
  }

  template <Normaliser normaliser, bool may_drop>
  void weigh(const Strip& strip, const Runs::Run& run, float* dscores) {
    const F factor = set1(factor_of(head_)), inverse_kept = set1(1.0f / head_.kept), one = set1(1.0f);
    const F after = set1(head_.adjusts() ? 1.0f : head_.scale);
    for (int r = 0; r < strip.rows; ++r) {
      float* const scores = scores_ + r * stride_;
      float* const products = dscores + r * stride_;
      for (int i = run.begin; i < run.end; i += lanes) {
        F dweight = load(products + i), weight, slope;
        const F score = load(scores + i), log_sum = load(log_sum_ + i);
        if constexpr (normaliser == Normaliser::softmax) {
          weight = slope = exp2_of_negative(fma(score, factor, -log_sum));
        } else if constexpr (normaliser == Normaliser::sigmoid) {
          weight = select((score == set1(-infinity)) | (log_sum == set1(infinity)), zero(),
                          one / (one + exp2(score * factor * set1(-log2_e))));
          slope = weight * (one - weight);
        } else if constexpr (normaliser == Normaliser::sparsemax) {
          weight = max(zero(), score * factor - log_sum);
          slope = select(weight > zero(), one, zero());
        } else {
          slope = max(zero(), fma(score * factor, set1(0.5f), -log_sum));
          weight = slope * slope;
        }
        if constexpr (may_drop) {
          if (head_.drop_below != 0) {
            const U query = (iota() + set1_uint(static_cast<std::uint32_t>(begin_ + i))) * query_step;
            const I stay = stays(head_, query + set1_uint(static_cast<std::uint32_t>(strip.row + r)));
            weight = select(stay, weight * inverse_kept, zero());
            dweight = select(stay, dweight * inverse_kept, zero());
          }
        }
        if (averages_) {
          store(product_ + i, fma(slope, dweight, load(product_ + i)));
          store(slopes_ + i, load(slopes_ + i) + slope);
          continue;
        }
        store(scores + i, weight);
        store(products + i, slope * (dweight - load(product_ + i)) * after);
      }
    }
  }

  /// Gradients of what was added to the scores.
  void extra_gradients(const Strip& strip, const Runs& runs, const float* dscores) {
    if (!to_.slope && !to_.relative && !to_.bias && !to_.parameters) return;
    const float back = head_.adjusts() ? 1.0f : 1.0f / head_.scale;
    if (to_.relative)
      for (int i = runs.run[0].begin; i < runs.run[runs.count - 1].end + strip.rows; ++i) line_[i] = 0.0f;
    for (int k = 0; k < runs.count; ++k) {
      const Runs::Run& run = runs.run[k];
      for (int r = 0; r < strip.rows; ++r) {
        const float* const row = dscores + r * stride_;
        const float position = static_cast<float>(strip.lane_position() - strip.row_position() - r);
        F sum = zero();
        for (int i = run.begin; i < run.end; i += lanes) {
          const F dscore = load(row + i) * set1(back);
          const int count = tail_of(strip.columns - i);
          if (to_.slope)
            sum =
                sum - dscore * absolute(__builtin_convertvector((I)iota(), F) + set1(position + static_cast<float>(i)));
          if (to_.relative) {
            float* const at = line_ + strip.rows - 1 - r + i;
            store(at, load(at) + dscore);
          }
          if (to_.bias)
            for (int lane = 0; lane < count; ++lane)
              to_.bias[(strip.row + r) * strip.row_stride() + (strip.lane + i + lane) * strip.lane_stride()] +=
                  dscore[lane];
        }
        if (to_.slope) *to_.slope += reduce_add(sum);
      }
      if (to_.parameters) {
        const attention::Strip part{
            head_.batch,  head_.number,  strip.row_position(), strip.lane_position() + run.begin,
            false,        strip.rows,    run.end - run.begin,  stride_,
            adjust_.rule, adjust_.memory};
        head_.rules->parameters(*head_.program, part, adjust_.capped + run.begin, dscores + run.begin, to_.parameters);
      }
    }
    if (to_.relative)
      for (int i = runs.run[0].begin; i < runs.run[runs.count - 1].end + strip.rows - 1; ++i)
        to_.relative[strip.place(i)] += line_[i];
  }

  /// dS of the products themselves, and both as units.
  void finish(const Strip& strip, const Runs& runs, int row, float* dscores) {
    const bool adjusts = head_.adjusts();
    const F scale = set1(head_.key_term ? 1.0f : head_.scale), all = set1(head_.scale);
    for (int k = 0; k < runs.count; ++k) {
      const Runs::Run& run = runs.run[k];
      for (int r = 0; adjusts && r < strip.rows; ++r) {
        float* const at = dscores + r * stride_;
        F sum = zero();
        for (int i = run.begin; i < run.end; i += lanes) {
          F value = load(at + i);
          if (derivative_) value = value * load(derivative_ + r * stride_ + i);
          if (head_.key_term) {
            sum = sum + value;
            if (to_.query_term)
              store(to_.query_term + begin_ + i, load(to_.query_term + begin_ + i, tail_of(count_ - i)) + value,
                    tail_of(count_ - i));
            value = value * all;
          } else {
            value = value * scale;
          }
          store(at + i, value);
        }
        if (to_.key_term) to_.key_term[strip.row + r] += reduce_add(sum);
      }
    }
    if constexpr (Units::elements == 2) {
      for (int k = 0; k < runs.count; ++k)
        for (int r = 0; r < strip.rows; ++r)
          for (int i = runs.run[k].begin; i < runs.run[k].end; i += lanes) {
            store_bfloat16(reinterpret_cast<std::uint16_t*>(weights_ + r * stride_ / 2) + i,
                           load(scores_ + r * stride_ + i));
            store_bfloat16(reinterpret_cast<std::uint16_t*>(dscores_ + r * stride_ / 2) + i,
                           load(dscores + r * stride_ + i));
          }
      // Two rows of keys share a unit. Groups have an even number of rows, but for the last.
      for (int r = 0; r < strip.rows; r += 2) {
        float* const to = block_ + (row + r) / 2 * stride_;
        const bool half = r + 1 >= strip.rows;
        for (int k = 0; k < runs.count; ++k)
          for (int i = runs.run[k].begin; i < runs.run[k].end; i += lanes) {
            U unit = __builtin_convertvector(to_bfloat16(load(dscores + r * stride_ + i)), U);
            if (!half) unit |= __builtin_convertvector(to_bfloat16(load(dscores + (r + 1) * stride_ + i)), U) << 16;
            store(to + i, as_float(unit));
          }
      }
    }
  }

  void write_query() {
    for (int top = 0; top < count_; top += lanes)
      for (int left = 0; left < head_.width; left += lanes) {
        F part[lanes];
        for (int i = 0; i < lanes; ++i)
          part[i] = left + i < head_.width ? load(dquery_ + (left + i) * stride_ + top) : zero();
        transpose(part);
        const int columns = tail_of(head_.width - left);
        for (int i = 0; i < lanes && top + i < count_; ++i) {
          float* const to = to_.query + (begin_ + top + i) * to_.query_stride + left;
          const F before = to_.add_query ? load(to, columns) : zero();
          store(to, before + part[i], columns);
        }
      }
  }

  const Head& head_;
  const HeadGradients& to_;
  std::int64_t begin_;
  int count_;
  std::int64_t stride_;
  float *query_panels_, *doutput_panels_, *query_across_, *doutput_across_, *dquery_, *scores_, *products_, *weights_,
      *dscores_, *slopes_, *row_sums_, *direction_sums_, *block_, *derivative_, *key_copy_, *value_copy_, *key_across_,
      *log_sum_, *product_, *line_;
  AdjustScratch adjust_;
  attention::StripMemory strips_;
  Panel query_rows_{}, doutput_rows_{};
  const char *first_key_ = nullptr, *first_value_ = nullptr;
  Fetch ahead_;
  Form form_ = Form::plain;
  bool averages_ = false;
  Range rows_seen_[query_block / lanes];
};

template <class Function>
void with_piece(const Head& head, const HeadGradients& gradients, std::int64_t begin, int count,
                const attention::Ahead& ahead, Function f) {
#if defined(HEED_ISA_IS_avx512_bf16)
  if (head.all_bfloat16()) {
    Piece<BFloat16Units> piece(head, gradients, begin, count, ahead);
    return f(piece);
  }
#endif
  Piece<Float32Units> piece(head, gradients, begin, count, ahead);
  f(piece);
}

void backward(const Head& head, const HeadGradients& gradients, std::int64_t begin, int count,
              const attention::Ahead& ahead) {
  with_piece(head, gradients, begin, count, ahead, [](auto& piece) { piece.run(); });
}

void average(const Head& head, const HeadGradients& gradients, std::int64_t begin, int count, float* product) {
  with_piece(head, gradients, begin, count, {}, [&](auto& piece) { piece.average(product); });
}

}  // namespace

extern const attention::Backward attention_backward_kernel;
const attention::Backward attention_backward_kernel = {backward, average};

}  // namespace heed::HEED_ISA
