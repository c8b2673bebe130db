#include "formats/gzip.h"

#include <fcntl.h>
#include <heed/error.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

namespace heed {

namespace {

constexpr std::size_t input_chunk = std::size_t{64} << 10;
constexpr std::size_t output_chunk = std::size_t{256} << 10;

}  // namespace

struct ByteReader::State {
  std::string name;
  int file = -1;  // -1: `memory` is the source
  std::string memory;
  std::vector<char> input;     // what was read of the file, `available` from `taken` on not yet used
  std::string_view available;  // into input or memory
  bool source_ended = false;
  std::int64_t source_bytes = 0;  // bytes of the file that were read so far
  bool gzip = false;
  bool in_member = false;
  z_stream stream{};
  bool stream_open = false;
  std::vector<char> output;
  std::int64_t offset = 0;

  ~State() {
    if (stream_open) inflateEnd(&stream);
    if (file >= 0) ::close(file);
  }

  /// The byte of the (compressed) file that is used next.
  std::int64_t place() const { return source_bytes - static_cast<std::int64_t>(available.size()); }

  /// Reads on when nothing is available, or fewer than `wanted` bytes are; false when the source has no more.
  bool refill(std::size_t wanted = 1) {
    if (file < 0) return available.size() >= wanted;
    if (!available.empty()) std::memmove(input.data(), available.data(), available.size());
    std::size_t kept = available.size();
    while (kept < wanted && !source_ended) {
      const ssize_t got = ::read(file, input.data() + kept, input.size() - kept);
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) throw Error("{}: cannot read at byte {}: {}", name, source_bytes, std::strerror(errno));
      source_ended = got == 0;
      source_bytes += got;
      kept += static_cast<std::size_t>(got);
    }
    available = std::string_view(input.data(), kept);
    return kept >= wanted;
  }

  void open_source() {
    refill(2);
    gzip = available.size() >= 2 && available[0] == '\x1f' && available[1] == '\x8b';
    if (!gzip) return;
    output.resize(output_chunk);
    // 15 bits of window, 16: a gzip header and its CRC-32 are expected.
    if (inflateInit2(&stream, 15 + 16) != Z_OK) throw Error("{}: not enough memory to read gzip", name);
    stream_open = in_member = true;
  }

  /// After a member: another one, zeros that pad (tapes, some tools), or the end.
  bool next_member() {
    while (refill() && available[0] == '\0') available.remove_prefix(1);
    if (available.empty()) return false;
    if (!refill(2) || available[0] != '\x1f' || available[1] != '\x8b')
      throw Error("{}: bytes that are not gzip follow the gzip data at byte {} of the file; compress the file again",
                  name, place());
    inflateReset(&stream);
    return in_member = true;
  }

  std::string_view inflate_chunk() {
    stream.next_out = reinterpret_cast<Bytef*>(output.data());
    stream.avail_out = static_cast<uInt>(output.size());
    while (stream.avail_out > 0) {
      if (!in_member && !next_member()) break;
      if (available.empty() && !refill())
        throw Error("{}: the gzip data ends early at byte {} of the file: it was cut; fetch or compress it again", name,
                    place());
      const std::size_t given = std::min(available.size(), input_chunk);
      stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(available.data()));
      stream.avail_in = static_cast<uInt>(given);
      const int code = inflate(&stream, Z_NO_FLUSH);
      available.remove_prefix(given - stream.avail_in);
      if (code == Z_STREAM_END) {
        in_member = false;
      } else if (code != Z_OK && code != Z_BUF_ERROR) {
        throw Error("{}: the gzip data is corrupt at byte {} of the file ({}); fetch or compress it again", name,
                    place(), stream.msg ? stream.msg : "a preset dictionary");
      }
    }
    return {output.data(), output.size() - stream.avail_out};
  }

  std::string_view next() {
    std::string_view chunk;
    if (gzip) {
      chunk = inflate_chunk();
    } else {
      if (available.empty()) refill();
      chunk = available;
      available = {};
    }
    offset += static_cast<std::int64_t>(chunk.size());
    return chunk;
  }

  void skip_to(std::int64_t start) {
    if (start > 0 && !gzip && file >= 0 && ::lseek(file, start, SEEK_SET) == start) {
      struct stat about {};
      ::fstat(file, &about);
      if (S_ISREG(about.st_mode) && start > about.st_size) ends_before(start, about.st_size);
      available = {};
      source_ended = false;
      offset = source_bytes = start;
      return;
    }
    while (offset < start) {
      const std::string_view chunk = next();
      if (chunk.empty()) ends_before(start, offset);
      if (offset > start) {
        held = chunk.substr(chunk.size() - static_cast<std::size_t>(offset - start));
        offset = start;
      }
    }
  }

  [[noreturn]] void ends_before(std::int64_t start, std::int64_t bytes) const {
    throw Error("{}: cannot go on at byte {}, the file has {}: it was changed since", name, start, bytes);
  }

  std::string_view held;  // the rest of the chunk in which `start` lay
};

ByteReader::ByteReader(std::unique_ptr<State> state) : state_(std::move(state)) {}
ByteReader::ByteReader(ByteReader&&) noexcept = default;
ByteReader& ByteReader::operator=(ByteReader&&) noexcept = default;
ByteReader::~ByteReader() = default;

ByteReader::ByteReader(const std::filesystem::path& path, std::int64_t start) : state_(std::make_unique<State>()) {
  State& state = *state_;
  state.name = path.string();
  state.file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (state.file < 0) throw Error("{}: cannot open the file: {}", state.name, std::strerror(errno));
  struct stat about {};
  if (::fstat(state.file, &about) == 0 && S_ISDIR(about.st_mode))
    throw Error("{}: is a folder; a file was expected", state.name);
  state.input.resize(input_chunk);
  state.open_source();
  state.skip_to(start);
}

ByteReader ByteReader::of_bytes(std::string bytes, std::string name, std::int64_t start) {
  auto state = std::make_unique<State>();
  state->name = std::move(name);
  state->memory = std::move(bytes);
  state->available = state->memory;
  state->source_bytes = static_cast<std::int64_t>(state->memory.size());
  state->source_ended = true;
  state->open_source();
  state->skip_to(start);
  return ByteReader(std::move(state));
}

std::string_view ByteReader::next() {
  if (!state_->held.empty()) {
    const std::string_view chunk = std::exchange(state_->held, {});
    state_->offset += static_cast<std::int64_t>(chunk.size());
    return chunk;
  }
  return state_->next();
}

std::int64_t ByteReader::offset() const { return state_->offset; }
const std::string& ByteReader::name() const { return state_->name; }

}  // namespace heed
