#include <gtest/gtest.h>
#include <heed/page_pool.h>

#include "attention/sample.h"

namespace heed::attention {

namespace {

/// A sample's keys and values in pages of four rows, which stand in another order than they are read in.
struct Paged {
  PagePool pool;
  std::vector<std::int32_t> table;

  explicit Paged(const Sample& sample) {
    const std::int64_t rows = 4, count = sample.key.rows(), pages = (count + rows - 1) / rows;
    for (std::int64_t i = 0; i < pages; ++i) table.push_back(static_cast<std::int32_t>((i * 5 + 2) % (pages + 1)));
    pool.key = moved(sample.key, pages + 1, rows);
    pool.value = moved(sample.value, pages + 1, rows);
    if (!sample.key_scale) return;
    pool.key_scale = moved(sample.key_scale, pages + 1, rows);
    pool.value_scale = moved(sample.value_scale, pages + 1, rows);
  }
  Tensor moved(const Tensor& from, std::int64_t pages, std::int64_t rows) const {
    const Tensor to({pages, rows, from.width()}, from.dtype());
    const std::int64_t bytes = from.width() * size_of(from.dtype());
    for (std::int64_t row = 0; row < from.rows(); ++row)
      std::memcpy(
          static_cast<char*>(to.data()) + (table[static_cast<std::size_t>(row / rows)] * rows + row % rows) * bytes,
          static_cast<const char*>(from.data()) + row * bytes, static_cast<std::size_t>(bytes));
    return to;
  }
};

TEST(PagePool, GivesTheSameAsRowsThatLieTogether) {
  ThreadPool threads(2);
  for (const DType dtype : {DType::float32, DType::bfloat16, DType::int8, DType::q4})
    for (const std::int64_t queries : {1, 9}) {
      Choice choice;
      choice.key_value_dtype = dtype;
      choice.key_value_heads = 2;
      choice.lengths = {{queries, 19}};
      choice.spec.mask = causal();
      Sample sample(choice, 1);
      sample.forward(threads);
      const Tensor together = sample.output.clone();
      const Paged paged(sample);
      sample.problem.sequences[0].spans = paged.pool.spans(paged.table, 19);
      EXPECT_EQ(sample.problem.sequences[0].spans.size(), 5u);
      sample.forward(threads);
      expect_close(sample.output, std::vector<double>(together.floats(), together.floats() + together.elements()),
                   epsilons_of(choice), format("{} queries, keys of {}", queries, name_of(dtype)));
    }
}

void expect_error(const PagePool& pool, const std::vector<std::int32_t>& table, std::int64_t count,
                  const std::string& expected) {
  try {
    pool.spans(table, count);
    ADD_FAILURE() << "no error; expected " << expected;
  } catch (const Error& error) {
    EXPECT_EQ(std::string(error.what()), expected);
  }
}

TEST(PagePool, NamesPagesThatLieOutsideAndBothShapes) {
  PagePool pool{Tensor({4, 16, 32}), Tensor({4, 16, 8})};
  expect_error(pool, {0, 4}, 17, "page table: entry 1 is page 4; the pool's keys are [4, 16, 32], with pages 0 to 3");
  expect_error(pool, {-1}, 1, "page table: entry 0 is page -1; the pool's keys are [4, 16, 32], with pages 0 to 3");
  expect_error(pool, {0, 1}, 33, "page table: 2 pages of 16 rows for 33 rows; the pool's keys are [4, 16, 32]");
  EXPECT_EQ(pool.spans(std::vector<std::int32_t>{0, 9}, 16).size(), 1u);  // what is not read may be anything
  pool.value = Tensor({4, 8, 32});
  expect_error(pool, {0}, 1,
               "page pool: value is [4, 8, 32], the keys are [4, 16, 32]; expected [pages, rows, width] with as many "
               "pages and rows");
}

}  // namespace

}  // namespace heed::attention
