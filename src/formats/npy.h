#pragma once
#include <heed/tensor.h>

#include <filesystem>

namespace heed {

/// Writes a NumPy array file (.npy, format 1.0, C order) of a float32, float64, int32 or int64 tensor, atomically.
/// Throws Error for other types (convert with Tensor::to).
void write_npy(const std::filesystem::path& path, const Tensor& tensor);

/// Reads a file of those types, format 1 or 2, little-endian and in C order; anything else is an Error that names the
/// file.
Tensor read_npy(const std::filesystem::path& path);

}  // namespace heed
