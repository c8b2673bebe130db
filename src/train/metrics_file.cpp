#include "train/metrics_file.h"

#include <fcntl.h>
#include <heed/error.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>

namespace heed {

MetricsFile::MetricsFile(const std::filesystem::path& path, std::int64_t bytes) : path_(path), bytes_(bytes) {
  file_ = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
  if (file_ < 0) throw Error("{}: cannot be opened for writing: {}", path.string(), std::strerror(errno));
  if (::lseek(file_, 0, SEEK_END) < bytes) {
    ::close(file_);
    throw Error("{}: has fewer bytes than the {} that the checkpoint has seen; give the file back, or train anew",
                path.string(), bytes);
  }
  if (::ftruncate(file_, bytes) != 0 || ::lseek(file_, bytes, SEEK_SET) != bytes) {
    const int reason = errno;
    ::close(file_);
    throw Error("{}: cannot be cut to {} bytes: {}", path.string(), bytes, std::strerror(reason));
  }
}

MetricsFile::~MetricsFile() { ::close(file_); }

void MetricsFile::write(const nlohmann::ordered_json& line) {
  const std::string text = line.dump() + "\n";
  std::size_t done = 0;
  while (done < text.size()) {
    const auto written = ::write(file_, text.data() + done, text.size() - done);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0)
      throw Error("{}: a line of metrics could not be written: {}", path_.string(), std::strerror(errno));
    done += static_cast<std::size_t>(written);
  }
  bytes_ += static_cast<std::int64_t>(text.size());
}

}  // namespace heed
