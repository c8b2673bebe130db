#include <gtest/gtest.h>
#include <heed/tensor.h>

#include <cmath>
#include <vector>

namespace heed {
namespace {

template <class F>
std::string message_of(F f) {
  try {
    f();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(Shape, CountsElementsRowsAndWidth) {
  const Shape shape{2, 3, 5};
  EXPECT_EQ(shape.elements(), 30);
  EXPECT_EQ(shape.rows(), 6);
  EXPECT_EQ(shape.width(), 5);
  EXPECT_EQ(shape[-2], 3);
  EXPECT_EQ(shape.text(), "[2, 3, 5]");
}

TEST(Shape, OfRankZeroIsOneElement) {
  EXPECT_EQ(Shape{}.elements(), 1);
  EXPECT_EQ(Shape{}.rows(), 1);
  EXPECT_EQ(Shape{}.text(), "[]");
}

TEST(Shape, MayBeEmptyInAnyDimension) {
  EXPECT_EQ((Shape{0, 8}.rows()), 0);
  EXPECT_EQ((Shape{4, 0}.rows()), 0);
  EXPECT_EQ((Shape{4, 0}.elements()), 0);
}

TEST(Shape, RefusesNegativeExtentsSevenDimensionsAndOverflow) {
  EXPECT_EQ(message_of([] { Shape{2, -1}; }), "shape: dimension 1 after [2] is -1; an extent is 0 or more");
  EXPECT_EQ(message_of([] { Shape{1, 2, 3, 4, 5, 6, 7}; }),
            "shape: [1, 2, 3, 4, 5, 6] already has 6 dimensions, the most there are");
  EXPECT_THROW((Shape{std::int64_t{1} << 40, std::int64_t{1} << 40}), Error);
}

TEST(Tensor, OfItsOwnIsZeroedAndAligned) {
  for (const std::int64_t width : {1, 3, 64, 100000}) {
    const Tensor tensor({2, width});
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(tensor.data()) % 64, 0u);
    for (std::int64_t i = 0; i < tensor.elements(); ++i) ASSERT_EQ(tensor.floats()[i], 0.0f);
    EXPECT_TRUE(tensor.unique());
  }
}

TEST(Tensor, CopiesShareAndClonesDoNot) {
  const Tensor tensor = Tensor::from({1, 2, 3});
  const Tensor shared = tensor;
  const Tensor cloned = tensor.clone();
  EXPECT_FALSE(tensor.unique());
  EXPECT_TRUE(cloned.unique());
  shared.floats()[1] = 7;
  EXPECT_EQ(tensor.floats()[1], 7);
  EXPECT_EQ(cloned.floats()[1], 2);
}

TEST(Tensor, MovesLeaveNothingBehind) {
  Tensor tensor = Tensor::from({1, 2});
  const Tensor taken = std::move(tensor);
  EXPECT_TRUE(taken.unique());
  EXPECT_FALSE(tensor);  // NOLINT: what a moved-from tensor is, is promised
  EXPECT_TRUE(taken);
}

TEST(Tensor, ReleasesItsStorageWithTheLastOneThatSharesIt) {
  int released = 0;
  std::vector<float> elements(8);
  Storage storage;
  storage.data = elements.data();
  storage.owner = &released;
  storage.release = [](Storage* self) noexcept { ++*static_cast<int*>(self->owner); };
  {
    Tensor tensor(&storage, elements.data(), {2, 4}, DType::float32);
    const Tensor row = tensor.slice(1, 2);
    tensor = Tensor();
    EXPECT_EQ(released, 0);
  }
  EXPECT_EQ(released, 1);
}

TEST(Tensor, SlicesRowsOfTheFirstDimension) {
  const Tensor tensor = Tensor::from({0, 1, 2, 3, 4, 5}).reshaped({3, 2});
  const Tensor rows = tensor.slice(1, 3);
  EXPECT_EQ(rows.shape(), (Shape{2, 2}));
  EXPECT_EQ(rows.floats()[0], 2);
  EXPECT_EQ(tensor.slice(3, 3).shape(), (Shape{0, 2}));
}

TEST(Tensor, NamesTheRowsThatASliceHasNot) {
  const Tensor tensor({3, 2});
  EXPECT_EQ(message_of([&] { tensor.slice(2, 4); }), "slice: rows [2, 4) of [3, 2]; expected 0 <= begin <= end <= 3");
  EXPECT_THROW(tensor.slice(2, 1), Error);
  EXPECT_THROW(Tensor(Shape{}).slice(0, 1), Error);
}

TEST(Tensor, NamesBothShapesWhenAReshapeDoesNotFit) {
  EXPECT_EQ(message_of([] {
              Tensor({2, 3}).reshaped({4, 2});
            }),
            "reshaped: [2, 3] has 6 elements, [4, 2] has 8; a reshape keeps their number");
}

TEST(Tensor, RefusesToBeReadAsAnotherType) {
  EXPECT_EQ(message_of([] { Tensor({4}, DType::bfloat16).floats(); }),
            "tensor: [4] is bfloat16, asked for as float32; convert it with to()");
}

TEST(Tensor, BorrowsWithoutTakingOver) {
  float elements[4] = {1, 2, 3, 4};
  {
    const Tensor tensor = Tensor::borrow(elements, {2, 2});
    EXPECT_FALSE(tensor.unique());
    tensor.fill(5);
  }
  EXPECT_EQ(elements[3], 5);
}

TEST(Tensor, OfNoElementsIsStillATensor) {
  const Tensor tensor({0, 8});
  EXPECT_TRUE(tensor);
  EXPECT_EQ(tensor.bytes(), 0);
  EXPECT_EQ(tensor.clone().shape(), (Shape{0, 8}));
  EXPECT_EQ(tensor.to(DType::bfloat16).shape(), (Shape{0, 8}));
}

TEST(Tensor, ConvertsBetweenAllFloatingTypes) {
  const DType types[] = {DType::float32, DType::bfloat16, DType::float16, DType::float64};
  const Tensor values = Tensor::from({0, -1.5f, 0.25f, 96});  // exact in each
  for (const DType from : types)
    for (const DType to : types) {
      const Tensor back = values.to(from).to(to).to(DType::float32);
      for (int i = 0; i < 4; ++i) EXPECT_EQ(back.floats()[i], values.floats()[i]) << name_of(from) << name_of(to);
    }
}

TEST(Tensor, ConvertsDoublesToSixteenBitsWithOneRounding) {
  const Tensor wide({2}, DType::float64);
  wide.as<double>()[0] = 1.0 + 0x1p-11 + 0x1p-50;
  wide.as<double>()[1] = 1.0 + 0x1p-8 + 0x1p-50;
  EXPECT_EQ(wide.to(DType::float16).as<float16>()[0].bits, 0x3c01);
  EXPECT_EQ(wide.to(DType::bfloat16).as<bfloat16>()[1].bits, 0x3f81);
}

TEST(Tensor, RefusesToConvertIntegers) {
  EXPECT_EQ(message_of([] { Tensor({4}, DType::int32).to(DType::float32); }),
            "to: int32 [4] cannot become float32; only float32, bfloat16, float16 and float64 convert into each other");
}

TEST(Tensor, FillsEveryType) {
  for (const DType dtype : {DType::int8, DType::uint8, DType::int32, DType::int64, DType::boolean}) {
    const Tensor tensor({5}, dtype);
    tensor.fill(1);
    EXPECT_EQ(static_cast<const std::uint8_t*>(tensor.data())[4 * size_of(dtype)], 1) << name_of(dtype);
  }
  const Tensor halves({5}, DType::float16);
  halves.fill(-2);
  EXPECT_EQ(static_cast<float>(halves.as<float16>()[4]), -2);
}

TEST(Tensor, SaysWhenMemoryCannotBeHad) {
  EXPECT_THROW(Tensor({std::int64_t{1} << 62}), Error);
  EXPECT_THROW(Tensor({std::int64_t{1} << 62}, DType::int8), Error);
}

}  // namespace
}  // namespace heed
