#pragma once
#include <cstdint>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>

namespace heed {

/// The metrics of a training: one JSON object a line. A resumed run first cuts off what its checkpoint had not seen.
class MetricsFile {
 public:
  /// Keeps the first `bytes` of the file. Throws Error when it cannot be opened or has fewer.
  MetricsFile(const std::filesystem::path& path, std::int64_t bytes);
  ~MetricsFile();
  MetricsFile(const MetricsFile&) = delete;
  MetricsFile& operator=(const MetricsFile&) = delete;
  /// Adds a line, handed to the system at once. Throws Error on a full disk.
  void write(const nlohmann::ordered_json& line);
  std::int64_t bytes() const { return bytes_; }

 private:
  std::filesystem::path path_;
  int file_ = -1;
  std::int64_t bytes_ = 0;
};

}  // namespace heed
