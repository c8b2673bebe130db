#include "formats/npy.h"

#include "formats/test_files.h"

namespace heed {
namespace {

TEST(Npy, TensorsComeBack) {
  const TestFolder folder;
  for (const Shape& shape : {Shape{}, Shape{3}, Shape{2, 3}, Shape{0, 4}, Shape{1, 2, 3, 4}}) {
    Tensor tensor(shape, DType::int32);
    for (std::int64_t i = 0; i < tensor.elements(); ++i)
      tensor.as<std::int32_t>()[i] = static_cast<std::int32_t>(7 * i);
    write_npy(folder / "x.npy", tensor);
    const Tensor read = read_npy(folder / "x.npy");
    EXPECT_EQ(read.shape(), shape);
    for (std::int64_t i = 0; i < tensor.elements(); ++i) EXPECT_EQ(read.as<std::int32_t>()[i], 7 * i);
  }
}

TEST(Npy, FileIsAsTheFormatSays) {
  const TestFolder folder;
  write_npy(folder / "x.npy", Tensor::from({1, 2, 3}));
  const std::string bytes = contents(folder / "x.npy");
  ASSERT_EQ(bytes.size(), 128u + 12u);
  EXPECT_EQ(bytes.substr(0, 10), std::string("\x93NUMPY\x01\x00\x76\x00", 10));
  EXPECT_EQ(bytes.substr(10, 57), "{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }");
  EXPECT_EQ(bytes[127], '\n');
}

TEST(Npy, WrongFilesAreErrors) {
  const TestFolder folder;
  expect_error("npy holds float32, float64, int32 and int64, not bfloat16",
               [&] { write_npy(folder / "x", Tensor({2}, DType::bfloat16)); });
  expect_error("text: not a npy file", [&] { read_npy(put(folder / "text", "some text, but no array")); });
  write_npy(folder / "x.npy", Tensor({5}));
  const std::string bytes = contents(folder / "x.npy");
  expect_error("cut: the npy header says [5] of <f4, but 19 bytes follow it",
               [&] { read_npy(put(folder / "cut", bytes.substr(0, bytes.size() - 1))); });
}

}  // namespace
}  // namespace heed
