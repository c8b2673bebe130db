#include "formats/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "formats/partial.h"

namespace heed {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t writer_buffer = std::size_t{64} << 10;

struct OpenFile {
  int file;
  ~OpenFile() {
    if (file >= 0) ::close(file);
  }
};

void unmap(Storage* storage) noexcept {
  ::munmap(storage->data, static_cast<std::size_t>(storage->bytes));
  delete storage;
}

bool is_device_or_pipe(const fs::path& path) {
  std::error_code failed;
  const fs::file_status status = fs::status(path, failed);
  return fs::exists(status) && !fs::is_regular_file(status) && !fs::is_directory(status);
}

void write_to(const fs::path& path, const std::function<void(Writer&)>& write, int flags) {
  const OpenFile opened{::open(path.c_str(), O_WRONLY | O_CLOEXEC | flags, 0666)};
  if (opened.file < 0) throw Error("{}: cannot be opened for writing: {}", path.string(), system_reason());
  Writer writer(opened.file, path.string());
  write(writer);
  writer.flush();
}

}  // namespace

MappedFile::MappedFile(const fs::path& path) : name_(path.string()) {
  const OpenFile opened{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (opened.file < 0) throw Error("{}: cannot open the file: {}", name_, system_reason());
  struct stat about {};
  if (::fstat(opened.file, &about) != 0) throw Error("{}: cannot look at the file: {}", name_, system_reason());
  if (S_ISDIR(about.st_mode)) throw Error("{}: is a folder; a file was expected", name_);
  if (!S_ISREG(about.st_mode)) throw Error("{}: is not a regular file and cannot be mapped; copy it to one", name_);
  if (about.st_size == 0) throw Error("{}: the file is empty", name_);
  size_ = static_cast<std::size_t>(about.st_size);
  void* data = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, opened.file, 0);
  if (data == MAP_FAILED) throw Error("{}: cannot map {} bytes: {}", name_, size_, system_reason());
  storage_ = new Storage;
  storage_->read_only = true;
  storage_->data = data;
  storage_->bytes = about.st_size;
  storage_->release = unmap;
  whole_ = Tensor(storage_, data, {about.st_size}, DType::uint8);
}

Writer::Writer(int file, std::string name) : file_(file), name_(std::move(name)) { buffer_.reserve(writer_buffer); }

void Writer::write(const void* data, std::int64_t bytes) {
  const char* from = static_cast<const char*>(data);
  const auto count = static_cast<std::size_t>(bytes);
  if (buffer_.size() + count > writer_buffer) flush();
  if (count > writer_buffer)
    write_through(from, count);
  else
    buffer_.insert(buffer_.end(), from, from + count);
}

void Writer::flush() {
  write_through(buffer_.data(), buffer_.size());
  buffer_.clear();
}

void Writer::write_through(const char* data, std::size_t bytes) {
  while (bytes > 0) {
    const ssize_t done = ::write(file_, data, bytes);
    if (done < 0 && errno == EINTR) continue;
    if (done < 0)
      throw Error("{}: cannot write after {} bytes: {}{}", name_, written_, system_reason(),
                  errno == ENOSPC || errno == EDQUOT ? "; free some space, or write to another disk" : "");
    written_ += done;
    data += done;
    bytes -= static_cast<std::size_t>(done);
  }
}

void write_file(const fs::path& path, const std::function<void(Writer&)>& write) {
  write_to(path, write, O_CREAT | O_TRUNC);
}

void write_file_atomically(const fs::path& path, const std::function<void(Writer&)>& write) {
  if (is_device_or_pipe(path)) return write_to(path, write, 0);
  const fs::path target = rename_target(path);
  std::error_code failed;
  if (fs::is_directory(target, failed)) throw Error("{}: is a folder; a file was expected", target.string());
  const Partial partial(target, Partial::Kind::file);
  Writer writer(partial.file(), target.string());
  write(writer);
  writer.flush();
  struct stat old {};
  if (::stat(target.c_str(), &old) == 0) ::fchmod(partial.file(), old.st_mode & 07777);
  if (::fsync(partial.file()) != 0 && errno != EINVAL)
    throw Error("{}: cannot be written to the disk after {} bytes: {}", target.string(), writer.bytes(),
                system_reason());
  if (::rename(partial.path().c_str(), target.c_str()) != 0)
    throw Error("{}: cannot take the place of {}: {}", partial.path().string(), target.string(), system_reason());
  sync_to_disk(folder_of(target));
}

}  // namespace heed
