#include <heed/dtype.h>
#include <heed/error.h>

#include "tensor/half.h"

namespace heed {

std::int64_t size_of(DType dtype) {
  switch (dtype) {
    case DType::float64:
    case DType::int64:
      return 8;
    case DType::float32:
    case DType::int32:
      return 4;
    case DType::bfloat16:
    case DType::float16:
      return 2;
    case DType::int8:
    case DType::uint8:
    case DType::boolean:
      return 1;
    case DType::q8:
    case DType::q4:
      break;
  }
  throw Error("size_of: {} is stored in blocks, a single element has no size in bytes", name_of(dtype));
}

std::string_view name_of(DType dtype) {
  switch (dtype) {
    case DType::float32:
      return "float32";
    case DType::bfloat16:
      return "bfloat16";
    case DType::float16:
      return "float16";
    case DType::float64:
      return "float64";
    case DType::int8:
      return "int8";
    case DType::uint8:
      return "uint8";
    case DType::int32:
      return "int32";
    case DType::int64:
      return "int64";
    case DType::boolean:
      return "boolean";
    case DType::q8:
      return "q8";
    case DType::q4:
      return "q4";
  }
  return "unknown type";
}

float16::float16(float value) : bits(half_of_float(value)) {}

float16::operator float() const { return float_of_half(bits); }

}  // namespace heed
