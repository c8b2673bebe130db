#include <gtest/gtest.h>
#include <heed/attention.h>

#include "attention/reference_scores.h"
#include "attention/sample.h"

namespace heed::attention {

namespace {

Tensor draw(Shape shape, std::uint64_t seed) {
  Tensor tensor(shape);
  for (std::int64_t i = 0; i < tensor.elements(); ++i)
    tensor.floats()[i] = normal(RandomKey{seed}, static_cast<std::uint64_t>(i));
  return tensor;
}

View rows_of(const Tensor& tensor, std::int64_t begin, std::int64_t end) {
  View view = tensor.view();
  view.data = view.floats() + begin * view.row_stride;
  view.rows = end - begin;
  return view;
}

float key_at(const KeyValueCache& cache, std::int64_t row, std::int64_t column) {
  for (const KeyValueSpan& span : cache.spans()) {
    if (row < span.count) return static_cast<const float*>(span.key)[row * cache.key_width() + column];
    row -= span.count;
  }
  return NAN;
}

/// Attention of queries [begin, end) over a cache that holds the keys up to `end`.
Tensor attend_cached(const Tensor& query, std::int64_t begin, std::int64_t end, const KeyValueCache& cache, int heads) {
  AttentionProblem problem;
  problem.spec.mask = causal();
  problem.heads = problem.key_value_heads = heads;
  problem.head_width = problem.value_width = static_cast<int>(query.width()) / heads;
  problem.query = rows_of(query, begin, end);
  problem.key_value_dtype = cache.dtype();
  problem.key_stride = cache.key_width();
  problem.value_stride = cache.value_width();
  AttentionSequence sequence;
  sequence.query_count = end - begin;
  sequence.query_position = begin;
  sequence.key_count = cache.length();
  sequence.spans = cache.spans();
  problem.sequences = {sequence};
  ThreadPool pool(1);
  Tensor output({end - begin, query.width()});
  attention_forward(problem, output.view(), nullptr, pool);
  return output;
}

/// The whole forward of causal attention, for comparison.
struct Whole {
  static constexpr int heads = 2;
  Tensor query, key, value, output;
  explicit Whole(std::int64_t length)
      : query(draw({length, 32}, 1)), key(draw({length, 32}, 2)), value(draw({length, 32}, 3)) {
    KeyValueCache cache(32, 32, DType::float32);
    cache.append(key.view(), value.view());
    output = attend_cached(query, 0, length, cache, heads);
  }
  void expect_rows(std::int64_t begin, const Tensor& rows) const {
    for (std::int64_t i = 0; i < rows.elements(); ++i)
      EXPECT_NEAR(rows.floats()[i], output.floats()[begin * 32 + i], 64 * std::numeric_limits<float>::epsilon())
          << begin;
  }
};

TEST(KeyValueCache, DecodingEqualsTheWholeForward) {
  const Whole whole(70);
  KeyValueCache cache(32, 32, DType::float32);
  for (std::int64_t i = 0; i < 70; ++i) {
    cache.append(rows_of(whole.key, i, i + 1), rows_of(whole.value, i, i + 1));
    whole.expect_rows(i, attend_cached(whole.query, i, i + 1, cache, Whole::heads));
  }
}

TEST(KeyValueCache, AChunkedPromptEqualsTheWhole) {
  const Whole whole(150);
  KeyValueCache cache(32, 32, DType::float32);
  for (std::int64_t begin = 0, end; begin < 150; begin = end) {
    end = std::min<std::int64_t>(begin + 37, 150);
    cache.append(rows_of(whole.key, begin, end), rows_of(whole.value, begin, end));
    whole.expect_rows(begin, attend_cached(whole.query, begin, end, cache, Whole::heads));
  }
}

constexpr std::int64_t page = KeyValueCache::page_rows;

TEST(KeyValueCache, ACopyGoesItsOwnWay) {
  const Tensor keys = draw({3 * page, 4}, 1), others = draw({3 * page, 4}, 2);
  KeyValueCache first(4, 4, DType::float32);
  first.append(rows_of(keys, 0, page + 4), rows_of(keys, 0, page + 4));
  KeyValueCache second = first;
  EXPECT_EQ(second.spans()[0].key, first.spans()[0].key);  // shared
  second.append(rows_of(others, page + 4, 2 * page), rows_of(others, page + 4, 2 * page));
  first.append(rows_of(keys, page + 4, page + 9), rows_of(keys, page + 4, page + 9));
  EXPECT_EQ(first.length(), page + 9);
  EXPECT_EQ(second.length(), 2 * page);
  EXPECT_EQ(second.spans()[0].key, first.spans()[0].key);  // a full page stays shared
  for (std::int64_t row = 0; row < 2 * page; ++row) {
    if (row < page + 9) {
      EXPECT_EQ(key_at(first, row, 1), keys.floats()[row * 4 + 1]);
    }
    EXPECT_EQ(key_at(second, row, 1), (row < page + 4 ? keys : others).floats()[row * 4 + 1]);
  }
}

TEST(KeyValueCache, RollingBackForgetsRowsAndSparesTheCopy) {
  const std::int64_t length = 2 * page + 8;
  const Tensor keys = draw({length, 4}, 1), others = draw({length, 4}, 2);
  KeyValueCache cache(4, 4, DType::float32);
  cache.append(keys.view(), keys.view());
  const KeyValueCache snapshot = cache;
  cache.truncate(5);
  EXPECT_EQ(cache.length(), 5);
  cache.append(rows_of(others, 5, length), rows_of(others, 5, length));
  for (std::int64_t row = 0; row < length; ++row) {
    EXPECT_EQ(key_at(snapshot, row, 0), keys.floats()[row * 4]);
    EXPECT_EQ(key_at(cache, row, 0), (row < 5 ? keys : others).floats()[row * 4]);
  }
  EXPECT_THROW(cache.truncate(length + 1), Error);
}

TEST(KeyValueCache, StoresHalvesInHalfTheMemory) {
  const Tensor keys = draw({2 * page + 1, 8}, 1);
  KeyValueCache wide(8, 8, DType::float32), narrow(8, 8, DType::bfloat16);
  wide.append(keys.view(), keys.view());
  narrow.append(keys.to(DType::bfloat16).view(), keys.view());
  EXPECT_EQ(narrow.bytes() * 2, wide.bytes());
  EXPECT_EQ(static_cast<const bfloat16*>(narrow.spans()[2].value)[3].bits,
            bfloat16(keys.floats()[2 * page * 8 + 3]).bits);
}

/// What a quantised cache holds of a row's element.
double number_at(const KeyValueCache& cache, bool values, std::int64_t row, std::int64_t column) {
  const std::int64_t width = values ? cache.value_width() : cache.key_width(), heads = cache.key_value_heads();
  std::int64_t in_span = row;
  for (const KeyValueSpan& span : cache.spans()) {
    if (in_span >= span.count) {
      in_span -= span.count;
      continue;
    }
    const float* const scales =
        values ? span.value_scale : span.key_scale;  // GCC 12 instruments (a ? b : c)[i] wrongly
    const double scale = scales[in_span * heads + column / (width / heads)];
    return reference::read_row(values ? span.value : span.key, cache.dtype(), in_span, width, 0,
                               static_cast<int>(width), scale)[static_cast<std::size_t>(column)];
  }
  return NAN;
}

TEST(KeyValueCache, IntegersAreOffByHalfAStepOfTheirHeadsLargestNumber) {
  const std::int64_t length = page + 10;
  const Tensor keys = draw({length, 12}, 1), values = draw({length, 8}, 2);
  for (const DType dtype : {DType::int8, DType::q4}) {
    KeyValueCache cache(12, 8, dtype, 2);
    cache.append(rows_of(keys, 0, 3), rows_of(values, 0, 3));
    cache.append(rows_of(keys, 3, length), rows_of(values, 3, length));
    for (const bool of_values : {false, true}) {
      const Tensor& rows = of_values ? values : keys;
      const std::int64_t width = rows.width() / 2;
      for (std::int64_t row = 0; row < length; ++row)
        for (std::int64_t head = 0; head < 2; ++head) {
          const float* const numbers = rows.floats() + row * rows.width() + head * width;
          const auto smaller = [](float a, float b) { return std::abs(a) < std::abs(b); };
          const double largest = std::abs(*std::max_element(numbers, numbers + width, smaller));
          const double step = largest / (dtype == DType::int8 ? 127 : 7);
          for (std::int64_t c = 0; c < width; ++c)
            EXPECT_NEAR(number_at(cache, of_values, row, head * width + c), numbers[c], 0.5001 * step)
                << name_of(dtype) << " row " << row << " head " << head;
        }
    }
  }
}

TEST(KeyValueCache, ZerosStayAndWhatIsNotFiniteShows) {
  Tensor keys({3, 4});
  keys.floats()[4] = std::numeric_limits<float>::infinity();
  keys.floats()[11] = std::numeric_limits<float>::quiet_NaN();
  KeyValueCache cache(4, 4, DType::int8, 2);
  cache.append(keys.view(), keys.view());
  EXPECT_EQ(number_at(cache, false, 0, 3), 0.0);
  EXPECT_TRUE(std::isnan(number_at(cache, false, 1, 1)));
  EXPECT_EQ(number_at(cache, false, 1, 2), 0.0);  // the other head
  EXPECT_TRUE(std::isnan(number_at(cache, true, 2, 2)));
}

TEST(KeyValueCache, CopiesOfIntegersTakeTheirScalesAlong) {
  const Tensor rows = draw({10, 8}, 1), others = draw({10, 8}, 2);
  KeyValueCache first(8, 8, DType::q4, 2);
  first.append(rows.view(), rows.view());
  KeyValueCache second = first;
  second.append(others.view(), others.view());
  for (std::int64_t row = 0; row < 10; ++row)
    EXPECT_EQ(number_at(second, true, row, 5), number_at(first, true, row, 5)) << row;
  EXPECT_EQ(first.length(), 10);
}

TEST(KeyValueCache, RefusesRowsThatDoNotFit) {
  const Tensor keys = draw({3, 4}, 1), wide = draw({3, 5}, 1);
  KeyValueCache cache(4, 4, DType::float32);
  EXPECT_THROW(cache.append(keys.view(), wide.view()), Error);
  EXPECT_THROW(cache.append(keys.view(), rows_of(keys, 0, 2)), Error);
  EXPECT_THROW(KeyValueCache(4, 0, DType::float32), Error);
  EXPECT_THROW(KeyValueCache(4, 4, DType::int32), Error);
  EXPECT_THROW(KeyValueCache(4, 6, DType::int8, 4), Error);
  EXPECT_THROW(KeyValueCache(6, 6, DType::q4, 2), Error);
}

}  // namespace

}  // namespace heed::attention
