#include "formats/safetensors.h"

#include <sys/resource.h>

#include <cstring>

#include "formats/test_files.h"

namespace heed {
namespace {

namespace fs = std::filesystem;

/// A file of this header and so many bytes of data.
std::string file_of(std::string_view header, std::size_t data_bytes) {
  const std::uint64_t length = header.size();
  std::string file(8, '\0');
  std::memcpy(file.data(), &length, 8);
  file += header;
  for (std::size_t i = 0; i < data_bytes; ++i) file += static_cast<char>(i);
  return file;
}

SafetensorsHeader parse(std::string_view header, std::size_t data_bytes) {
  return parse_safetensors_header(file_of(header, data_bytes), "x.safetensors");
}

Tensor counting(Shape shape, float from) {
  Tensor tensor(shape);
  for (std::int64_t i = 0; i < tensor.elements(); ++i) tensor.floats()[i] = from + static_cast<float>(i);
  return tensor;
}

NamedTensors some_tensors() {
  Tensor flags({3}, DType::boolean);
  flags.as<bool>()[1] = true;
  return {{"odd", counting({3}, 1)},       {"flags", flags},
          {"wide", counting({4, 16}, 10)}, {"half", counting({5}, 3).to(DType::bfloat16)},
          {"none", Tensor({0, 7})},        {"count \"quoted\" ü", Tensor({2}, DType::int64)},
          {"scalar", counting({}, 2)}};
}

TEST(Safetensors, TensorsComeBackInOrderWithTheirMetadata) {
  const TestFolder folder;
  const NamedTensors tensors = some_tensors();
  write_safetensors(folder / "x", tensors, {{"step", "7"}, {"note", "a \"b\"\n"}});
  const SafetensorsReader reader(folder / "x");
  EXPECT_EQ(reader.metadata().at("step"), "7");
  EXPECT_EQ(reader.metadata().at("note"), "a \"b\"\n");
  ASSERT_EQ(reader.entries().size(), tensors.size());
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const auto& [name, written] = tensors[i];
    EXPECT_EQ(reader.entries()[i].name, name);
    const Tensor read = reader.tensor(name);
    EXPECT_EQ(read.shape(), written.shape());
    EXPECT_EQ(read.dtype(), written.dtype());
    EXPECT_EQ(std::string_view(static_cast<char*>(read.data()), static_cast<std::size_t>(read.bytes())),
              std::string_view(static_cast<char*>(written.data()), static_cast<std::size_t>(written.bytes())));
  }
  EXPECT_EQ(reader.verify(), 7);
}

TEST(Safetensors, DataAreAlignedAndNotCopied) {
  const TestFolder folder;
  write_safetensors(folder / "x", some_tensors());
  Tensor wide;
  {
    const SafetensorsReader reader(folder / "x");
    for (const SafetensorsEntry& entry : reader.entries())
      EXPECT_EQ(entry.begin % size_of(entry.dtype), 0) << entry.name;
    EXPECT_EQ(reader.entry("wide").begin % 64, 0);
    wide = reader.tensor("wide");
    EXPECT_EQ(wide.data(), reader.tensor("wide").data());
  }
  EXPECT_TRUE(wide.unique());
  EXPECT_EQ(wide.floats()[63], 73.0f);  // the mapping lives on
}

TEST(Safetensors, SameTensorsGiveTheSameBytes) {
  const TestFolder folder;
  write_safetensors(folder / "a", some_tensors(), {{"k", "v"}, {"a", "b"}});
  const SafetensorsReader reader(folder / "a");
  write_safetensors(folder / "b", some_tensors(), reader.metadata());
  EXPECT_EQ(contents(folder / "a"), contents(folder / "b"));
}

TEST(Safetensors, AnyAlteredByteIsFound) {
  const TestFolder folder;
  write_safetensors(folder / "x", some_tensors(), {{"step", "7"}});
  const std::string good = contents(folder / "x");
  for (std::size_t at = 0; at < good.size(); ++at) {
    std::string altered = good;
    altered[at] = static_cast<char>(altered[at] ^ 1);
    try {
      const SafetensorsReader reader(put(folder / "y", altered));
      EXPECT_GT(reader.verify(), 0);
      // Padding may change (a space becomes ! and no JSON), nothing else.
      ADD_FAILURE() << "byte " << at << " was altered unseen";
    } catch (const Error&) {
    }
  }
}

TEST(Safetensors, VerifyNamesTheAlteredTensor) {
  const TestFolder folder;
  write_safetensors(folder / "x", some_tensors());
  std::string bytes = contents(folder / "x");
  const SafetensorsReader before(folder / "x");
  bytes[static_cast<std::size_t>(before.entry("half").begin)] ^= 4;
  const SafetensorsReader after(put(folder / "y", bytes));
  expect_error("y: tensor \"half\" (bytes ", [&] { after.verify(); });
}

TEST(Safetensors, TruncatedFileIsFoundAtOnce) {
  const TestFolder folder;
  write_safetensors(folder / "x", some_tensors());
  const std::string good = contents(folder / "x");
  for (std::size_t kept = 1; kept < good.size(); ++kept)
    EXPECT_THROW(parse_safetensors_header(std::string_view(good).substr(0, kept), "x"), Error) << kept;
  EXPECT_THROW(parse_safetensors_header(good + "x", "x"), Error);
}

TEST(Safetensors, MisalignedDataAreCopied) {
  const TestFolder folder;
  const std::string header =
      R"({"b":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"f":{"dtype":"F32","shape":[1],"data_offsets":[1,5]}})";
  const SafetensorsReader reader(put(folder / "x", file_of(header, 5)));
  const Tensor f = reader.tensor("f");
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(f.data()) % 4, 0u);
  const unsigned char bytes[4] = {1, 2, 3, 4};
  EXPECT_EQ(std::memcmp(f.data(), bytes, 4), 0);
  EXPECT_EQ(reader.verify(), 0);  // no checksums in it
}

struct BadHeader {
  const char* header;
  std::size_t data_bytes;
  const char* sentence;
};

TEST(Safetensors, EveryMistakeOfAHeaderHasItsSentence) {
  const BadHeader cases[] = {
      {"[]", 0, "byte 8 does not start a safetensors header"},
      {"{} x", 0, "not JSON"},
      {"{\"a\":", 0, "not JSON"},
      {"{}", 3, "the tensors end at byte 10, but the file has 13 bytes"},
      {R"({"a":1})", 0, "a number where the format has none (at or after \"a\")"},
      {R"({"a":{"dtype":"F8","shape":[],"data_offsets":[0,1]}})", 1, "tensor \"a\" has type \"F8\"; heed reads"},
      {R"({"a":{"dtype":"U8","shape":[1]}})", 1, "tensor \"a\" lacks the key \"data_offsets\""},
      {R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"x":1}})", 1, "tensor \"a\" has the unknown key \"x\""},
      {R"({"a":{"dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1]}})", 1, "has the key \"dtype\" twice"},
      {R"({"a":{"dtype":"U8","shape":[-1],"data_offsets":[0,1]}})", 1, "a negative number where"},
      {R"({"a":{"dtype":"U8","shape":[1.0],"data_offsets":[0,1]}})", 1, "a number with a fraction where"},
      {R"({"a":{"dtype":"U8","shape":[[1]],"data_offsets":[0,1]}})", 1, "an array where"},
      {R"({"a":{"dtype":"U8","shape":[1,1,1,1,1,1,1],"data_offsets":[0,1]}})", 1, "tensor \"a\" has 7 dimensions"},
      {R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[1,0]}})", 1, "needs two data_offsets"},
      {R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0]}})", 1, "needs two data_offsets"},
      {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}})", 4,
       "is float32 [2] of 8 bytes, but its data_offsets [0, 4] hold 4"},
      {R"({"a":{"dtype":"F32","shape":[9223372036854775807,9223372036854775807],"data_offsets":[0,4]}})", 4,
       "has too many elements"},
      {R"({"a":{"dtype":"F32","shape":[18446744073709551615],"data_offsets":[0,4]}})", 4, "that is too great"},
      {R"({"a":{"dtype":"U8","shape":[9],"data_offsets":[0,9]}})", 4,
       "ends 9 bytes into the data, but the file has 4 bytes of data: it was cut"},
      {R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}})",
       3, "they overlap"},
      {R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"U8","shape":[1],"data_offsets":[2,3]}})",
       3, "there is a hole"},
      {R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})",
       2, "tensor \"a\" is there twice"},
      {R"({"__metadata__":{"a":1}})", 0, "a number where"},
      {R"({"__metadata__":{"a":{}}})", 0, "an object where"},
      {R"({"__metadata__":{"a":"1","a":"2"}})", 0, "the metadata have the key \"a\" twice"},
      {R"({"__metadata__":{},"__metadata__":{}})", 0, "\"__metadata__\" is there twice"},
  };
  for (const BadHeader& each : cases) {
    SCOPED_TRACE(each.header);
    expect_error(each.sentence, [&] { parse(each.header, each.data_bytes); });
    expect_error("x.safetensors: ", [&] { parse(each.header, each.data_bytes); });
  }
  expect_error("a file of 3 bytes is too short", [] { parse_safetensors_header("abc", "x"); });
  expect_error("byte 0 says that the safetensors header has",
               [] { parse_safetensors_header("{\"text\": \"some json\"}", "x"); });
}

TEST(Safetensors, HeaderErrorsNameTheByte) {
  expect_error("x.safetensors: safetensors header, byte 19 of the file: tensor \"a\" has the unknown key \"x\"",
               [] { parse(R"({"a": { "x":1}})", 0); });
}

TEST(Safetensors, WhatCannotBeWrittenIsRefused) {
  const TestFolder folder;
  const Tensor one = counting({1}, 1);
  expect_error("cannot write two tensors of the name \"a\"", [&] {
    write_safetensors(folder / "x", {{"a", one}, {"a", one}});
  });
  expect_error("has no data to write", [&] { write_safetensors(folder / "x", {{"a", Tensor()}}); });
  EXPECT_EQ(folder.size(), 0u);
  const SafetensorsReader reader((write_safetensors(folder / "x", {{"a", one}}), folder / "x"));
  expect_error("x: no tensor is named \"b\" among its 1", [&] { reader.tensor("b"); });
}

TEST(Safetensors, BooleanThatIsNeitherIsRefused) {
  const TestFolder folder;
  const SafetensorsReader reader(
      put(folder / "x", file_of(R"({"b":{"dtype":"BOOL","shape":[3],"data_offsets":[0,3]}})", 3)));
  expect_error("tensor \"b\" is boolean, but byte 65 of the file is neither 0 nor 1", [&] { reader.tensor("b"); });
}

TEST(Safetensors, ALargeFileIsOpenedWithoutTouchingItsData) {
  const TestFolder folder;
  // The tensors of a model of 500 MB, in a file with a hole on the disk instead of data.
  std::string header = R"({"__metadata__":{"format":"pt")";
  for (int i = 0; i < 160; ++i)
    header += format(R"(,"heed.crc32.transformer.layers.{}.attention.weight":"01234567")", i);
  header += "}";
  const std::int64_t bytes = 3'145'728;
  for (std::int64_t i = 0; i < 160; ++i)
    header +=
        format(R"(,"transformer.layers.{}.attention.weight":{"dtype":"F32","shape":[1024,768],"data_offsets":[{},{}]})",
               i, i * bytes, (i + 1) * bytes);
  header += "}";
  put(folder / "x", file_of(header, 0));
  fs::resize_file(folder / "x", 8 + header.size() + 160 * 3'145'728ull);
  const auto pages_touched = [] {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_minflt + usage.ru_majflt;
  };
  const auto before = pages_touched();
  const SafetensorsReader reader(folder / "x");
  EXPECT_EQ(reader.entries().size(), 160u);
  EXPECT_LT(pages_touched() - before, 2000);  // the data have 122,880
}

TEST(Safetensors, ReadsFilesOfOthers) {
  const fs::path folder = shared_file("models/safetensors-minimal");
  SKIP_WITHOUT(folder);
  const SafetensorsReader ints(folder / "tensor-1d-int32.safetensors");
  EXPECT_EQ(ints.tensor("embedding").as<std::int32_t>()[2], 3);
  const SafetensorsReader doubles(folder / "tensor-2d-float64.safetensors");
  EXPECT_EQ(doubles.tensor("embedding").shape(), (Shape{2, 3}));
  EXPECT_EQ(doubles.tensor("embedding").as<double>()[5], 26.0);
  const SafetensorsReader floats(folder / "tensor-4d-float32.safetensors");
  EXPECT_EQ(floats.tensor("embedding").shape(), (Shape{2, 3, 1, 3}));
  EXPECT_EQ(floats.tensor("embedding").floats()[17], 19.0f);
}

TEST(Safetensors, ReadsATrainedModelOfOthers) {
  const fs::path path = shared_file("models/capp-gpt2/model.safetensors");
  SKIP_WITHOUT(path);
  const SafetensorsReader reader(path);
  EXPECT_GT(reader.entries().size(), 10u);
  for (const SafetensorsEntry& entry : reader.entries())
    EXPECT_EQ(reader.tensor(entry.name).bytes(), entry.end - entry.begin);
}

}  // namespace
}  // namespace heed
