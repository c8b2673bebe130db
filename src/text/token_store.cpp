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
  constexpr std::int64_t footer_size = sizeof(TokenFooter), entry_size = sizeof(TokenEntry);
  if (size >= footer_size) footer_ = read_at<TokenFooter>(file_.bytes(), size - footer_size);
  const auto counts = [&](std::int64_t count) { return count >= 0 && count <= size; };  // so that nothing overflows
  const bool sound = size >= footer_size && footer_.magic == TokenFooter::heed_tokens &&
                     footer_.check == footer_.right_check() && counts(footer_.tokens) && counts(footer_.examples) &&
                     (footer_.id_bytes == 2 || footer_.id_bytes == 4) && (!stream() || footer_.examples == 0);
  if (!sound || size != token_bytes(footer_) + (stream() ? 0 : footer_.examples + 1) * entry_size + footer_size)
    throw Error("{}: is not a store of tokens, or was cut or altered; remove it, and it is made again", file_.name());
}

TokenEntry TokenStore::entry(std::int64_t i) const {
  return read_at<TokenEntry>(file_.bytes(), token_bytes(footer_) + i * static_cast<std::int64_t>(sizeof(TokenEntry)));
}

std::pair<TokenEntry, std::int64_t> TokenStore::bounds(std::int64_t i) const {
  const TokenEntry entry = this->entry(i);
  const std::int64_t end = this->entry(i + 1).first;
  if (entry.first < 0 || entry.first > end || end > tokens() || entry.source_tokens < 0 ||
      entry.source_tokens > end - entry.first || entry.answer_first < -1 || entry.answer_last < entry.answer_first ||
      entry.answer_last >= end - entry.first - entry.source_tokens)
    throw Error("{}: example {} was altered; remove the file, and it is made again", file_.name(), i);
  return {entry, end};
}

std::vector<std::int32_t> TokenStore::range(std::int64_t first, std::int64_t count) const {
  if (first < 0 || count < 0 || first > tokens() || count > tokens() - first)
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
  const auto [entry, end] = bounds(i);
  const std::int64_t target = entry.first + entry.source_tokens;
  return {range(entry.first, entry.source_tokens), range(target, end - target), entry.label, entry.answer_first,
          entry.answer_last};
}

std::int64_t TokenStore::length(std::int64_t i) const {
  const auto [entry, end] = bounds(i);
  return end - entry.first + (task() == Task::classification || task() == Task::language_modelling ? 1 : 2);
}

}  // namespace heed
