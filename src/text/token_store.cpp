#include "text/token_store.h"

#include <heed/error.h>
#include <heed/random.h>

#include <cstring>

namespace heed {

namespace {

template <class T>
T read_at(std::string_view bytes, std::int64_t place) {
  T value;
  std::memcpy(&value, bytes.data() + place, sizeof(T));
  return value;
}

template <class Id>
void widen(const char* from, std::vector<std::int32_t>& ids) {
  for (std::size_t i = 0; i < ids.size(); ++i) {
    Id id;
    std::memcpy(&id, from + i * sizeof(Id), sizeof(Id));
    ids[i] = static_cast<std::int32_t>(id);
  }
}

}  // namespace

std::uint64_t TokenFooter::right_check() const {
  RandomKey sum{fingerprint};
  for (const std::int64_t field :
       {tokens, examples, skipped, cut, std::int64_t{task}, std::int64_t{stream}, std::int64_t{id_bytes}})
    sum = sum.fold(static_cast<std::uint64_t>(field));
  return sum.seed;
}

TokenStore::TokenStore(const std::filesystem::path& path) : file_(path) {
  const auto size = static_cast<std::int64_t>(file_.bytes().size());
  constexpr std::int64_t footer_size = sizeof(TokenFooter);
  if (size >= footer_size) footer_ = read_at<TokenFooter>(file_.bytes(), size - footer_size);
  const std::int64_t entries = stream() ? 0 : footer_.examples + 1;
  if (size < footer_size || footer_.magic != TokenFooter::heed_tokens || footer_.check != footer_.right_check() ||
      size != token_bytes(footer_) + entries * static_cast<std::int64_t>(sizeof(TokenEntry)) + footer_size)
    throw Error("{}: is not a store of tokens, or was cut or altered; remove it, and it is made again", file_.name());
}

TokenEntry TokenStore::entry(std::int64_t i) const {
  return read_at<TokenEntry>(file_.bytes(), token_bytes(footer_) + i * static_cast<std::int64_t>(sizeof(TokenEntry)));
}

std::vector<std::int32_t> TokenStore::range(std::int64_t first, std::int64_t count) const {
  if (first < 0 || count < 0 || first + count > tokens())
    throw Error("{}: tokens {} to {} of {} were asked for; was the file altered? Remove it, and it is made again",
                file_.name(), first, first + count, tokens());
  std::vector<std::int32_t> ids(static_cast<std::size_t>(count));
  const char* from = file_.bytes().data() + first * footer_.id_bytes;
  if (footer_.id_bytes == 2)
    widen<std::uint16_t>(from, ids);
  else
    widen<std::uint32_t>(from, ids);
  return ids;
}

Example TokenStore::example(std::int64_t i) const {
  if (i < 0 || i >= size()) throw Error("{}: there is no example {}; there are {}", file_.name(), i, size());
  const TokenEntry entry = this->entry(i);
  const std::int64_t target = entry.first + entry.source_tokens;
  return {range(entry.first, entry.source_tokens), range(target, this->entry(i + 1).first - target), entry.label};
}

std::int64_t TokenStore::length(std::int64_t i) const {
  return entry(i + 1).first - entry(i).first + (task() == Task::translation ? 2 : 1);
}

}  // namespace heed
