#pragma once
#include <heed/dtype.h>

#include <algorithm>
#include <array>
#include <string_view>

namespace heed {

struct SafetensorsType {
  std::string_view name;
  DType dtype;
};

/// The spelling of a DType in a safetensors header.
inline constexpr std::array safetensors_types{
    SafetensorsType{"F64", DType::float64}, SafetensorsType{"F32", DType::float32},
    SafetensorsType{"F16", DType::float16}, SafetensorsType{"BF16", DType::bfloat16},
    SafetensorsType{"I64", DType::int64},   SafetensorsType{"I32", DType::int32},
    SafetensorsType{"I8", DType::int8},     SafetensorsType{"U8", DType::uint8},
    SafetensorsType{"BOOL", DType::boolean}};

inline const SafetensorsType* find_safetensors_type(auto SafetensorsType::*member, auto value) {
  const auto found = std::ranges::find(safetensors_types, value, member);
  return found == safetensors_types.end() ? nullptr : &*found;
}

}  // namespace heed
