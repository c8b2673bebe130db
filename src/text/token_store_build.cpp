#include <heed/error.h>
#include <heed/random.h>
#include <zlib.h>

#include <limits>
#include <optional>

#include "formats/partial.h"
#include "text/passages.h"
#include "text/rows.h"
#include "text/token_store.h"

namespace heed {

namespace fs = std::filesystem;

namespace {

class Fingerprint {
 public:
  void add(std::uint64_t number) { key_ = key_.fold(number); }
  void add(std::string_view bytes) {
    add(bytes.size());
    add(std::uint64_t{crc32_z(0, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size())});
  }
  std::uint64_t value() const { return key_.seed; }

 private:
  RandomKey key_;
};

/// Everything that decides what is in a store; not where the files lie.
std::uint64_t fingerprint_of(const TextEncoder& encoder, const DataConfig& config, const DataFiles& files,
                             std::int64_t max_length) {
  Fingerprint sum;
  for (const auto number :
       {static_cast<std::int64_t>(encoder.task), std::int64_t{encoder.documents}, std::int64_t{config.lowercase},
        std::int64_t{config.header}, max_length, encoder.task == Task::question_answering ? config.stride : 0})
    sum.add(static_cast<std::uint64_t>(number));
  for (const std::string* text : {&config.text_column, &config.target_column, &config.label_column, &config.bad_bytes,
                                  &config.too_long, &config.words, &config.bad_answers})
    sum.add(std::string_view(*text));
  for (const auto& vocabulary : {encoder.source, encoder.target})
    sum.add(vocabulary ? vocabulary->fingerprint() : std::uint64_t{0});
  for (const std::string& label : encoder.labels.names()) sum.add(std::string_view(label));
  if (!config.label_names.empty()) sum.add(MappedFile(config.label_names).bytes());
  for (const auto* side : {&files.source, &files.target}) {
    sum.add(std::uint64_t{side->size()});
    for (const fs::path& path : *side) {
      sum.add(std::string_view(format_of(config, path)));
      sum.add(MappedFile(path).bytes());
    }
  }
  return sum.value();
}

/// Writes ids, then the index, which grows beside them in a file of its own so that memory does not.
class Builder {
 public:
  Builder(const fs::path& path, const TextEncoder& encoder, const DataConfig& config, std::int64_t max_length)
      : encoder_(encoder),
        too_long_(config.too_long),
        longest_(max_length),
        stride_(config.stride),
        most_ids_(max_length > 0 ? max_length - 1 : std::numeric_limits<std::int32_t>::max()),
        index_file_(fs::path(path) += ".index", Partial::Kind::file),
        index_(index_file_.file(), index_file_.path().string()) {
    if (max_length == 1) throw Error("data.max_length is 1; begin or end takes one token, so 2 or more are needed");
    footer_.task = static_cast<std::int32_t>(encoder.task);
    footer_.stream = encoder.task == Task::language_modelling && !encoder.documents;
    const auto ids = std::max(encoder.source->size(), encoder.target ? encoder.target->size() : 0);
    footer_.id_bytes = ids <= 1 << 16 ? 2 : 4;
    if (too_long_ == "split" && encoder.task != Task::language_modelling)
      throw Error("data.too_long = \"split\" is for language modelling; {} may refuse, cut or skip",
                  text_of(encoder.task));
  }

  void add(const TextExample& text, const ExampleReader& reader, Writer& out);
  void finish(std::uint64_t fingerprint, Writer& out);
  std::int64_t examples() const { return footer_.examples; }
  std::int64_t tokens() const { return footer_.tokens; }
  std::int64_t skipped() const { return footer_.skipped; }

 private:
  bool fits(std::vector<std::int32_t>& ids, const char* side, const ExampleReader& reader, bool& cut) const;
  void add_windows(const TextExample& text, Writer& out);
  void write(const Example& example, Writer& out);
  void write_ids(std::span<const std::int32_t> ids, Writer& out);

  const TextEncoder& encoder_;
  std::string too_long_;
  std::int64_t longest_, stride_;
  std::int64_t most_ids_;  // of one side, without begin or end
  Partial index_file_;
  Writer index_;
  TokenFooter footer_;
};

/// False if the example is to be passed over.
bool Builder::fits(std::vector<std::int32_t>& ids, const char* side, const ExampleReader& reader, bool& cut) const {
  const auto count = static_cast<std::int64_t>(ids.size());
  if (count <= most_ids_) return true;
  if (too_long_ == "cut") {
    ids.resize(static_cast<std::size_t>(most_ids_));
    return cut = true;
  }
  if (too_long_ == "skip") return false;
  throw Error(
      "{}: the {} has {} tokens with begin or end, and {} are allowed; raise data.max_length (or "
      "model.context), or set data.too_long to cut{} or skip",
      reader.place(), side, count + 1, most_ids_ + 1, encoder_.task == Task::language_modelling ? ", split" : "");
}

void Builder::write_ids(std::span<const std::int32_t> ids, Writer& out) {
  for (const std::int32_t id : ids) {
    if (footer_.id_bytes == 2) {
      const auto narrow = static_cast<std::uint16_t>(id);
      out.write(&narrow, sizeof(narrow));
    } else {
      out.write(&id, sizeof(id));
    }
  }
  footer_.tokens += static_cast<std::int64_t>(ids.size());
}

void Builder::write(const Example& example, Writer& out) {
  const TokenEntry entry{footer_.tokens, static_cast<std::int32_t>(example.source.size()), example.label,
                         example.answer_first, example.answer_last};
  index_.write(&entry, sizeof(entry));
  write_ids(example.source, out);
  write_ids(example.target, out);
  ++footer_.examples;
}

/// A passage in windows, each an example of its own. The first of several answers is the one to learn.
void Builder::add_windows(const TextExample& text, Writer& out) {
  Example example;
  example.source = question_ids(encoder_, text.source, longest_);
  example.label = text.group;
  const PassageTokens passage = passage_tokens(encoder_, text.target);
  std::pair<std::int32_t, std::int32_t> answer{-1, -1};
  if (!text.answers.empty()) answer = passage.tokens_of(text.answers.front().begin, text.answers.front().end);
  for (const PassageWindow& window :
       passage_windows(static_cast<std::int64_t>(passage.ids.size()), static_cast<std::int64_t>(example.source.size()),
                       longest_, stride_)) {
    const auto begin = passage.ids.begin() + window.first;
    example.target.assign(begin, begin + window.count);
    const bool held = answer.first >= 0 && answer.first >= window.first && answer.second < window.first + window.count;
    example.answer_first = held ? answer.first - static_cast<std::int32_t>(window.first) : -1;
    example.answer_last = held ? answer.second - static_cast<std::int32_t>(window.first) : -1;
    write(example, out);
  }
}

void Builder::add(const TextExample& text, const ExampleReader& reader, Writer& out) {
  if (encoder_.task == Task::question_answering) return add_windows(text, out);
  Example example;
  example.source = encoder_.source->encode(text.source);
  if (footer_.stream) {
    if (text.line_ends) example.source.push_back(encoder_.source->line_end());
    return write_ids(example.source, out);
  }
  if (encoder_.task == Task::language_modelling && example.source.empty()) return;  // a blank line is no document
  if (makes_text_from_text(encoder_.task)) example.target = encoder_.target->encode(text.target);
  if (encoder_.task == Task::classification) example.label = encoder_.labels.at(text.label, reader.place());
  if (too_long_ == "split") {
    const std::vector<std::int32_t> whole = std::move(example.source);
    const auto most = static_cast<std::size_t>(most_ids_);
    for (std::size_t at = 0; at < whole.size(); at += most) {
      const auto piece = std::span(whole).subspan(at, std::min(most, whole.size() - at));
      example.source.assign(piece.begin(), piece.end());
      write(example, out);
    }
    return;
  }
  bool cut = false;
  const bool two = makes_text_from_text(encoder_.task);
  if (!fits(example.source, two ? "source" : "text", reader, cut) || !fits(example.target, "target", reader, cut)) {
    ++footer_.skipped;
    return;
  }
  footer_.cut += cut;
  write(example, out);
}

void Builder::finish(std::uint64_t fingerprint, Writer& out) {
  footer_.fingerprint = fingerprint;
  footer_.check = footer_.right_check();
  constexpr char zeros[8] = {};
  out.write(zeros, token_bytes(footer_) - footer_.tokens * footer_.id_bytes);
  if (!footer_.stream) {
    const TokenEntry last{.first = footer_.tokens};
    index_.write(&last, sizeof(last));
    index_.flush();
    out.write(MappedFile(index_file_.path()).bytes());
  }
  out.write(&footer_, sizeof(footer_));
}

void build(const fs::path& path, const TextEncoder& encoder, const DataConfig& config, const DataFiles& files,
           std::int64_t max_length, std::uint64_t fingerprint, const BuildProgress& progress) {
  constexpr std::int64_t bytes_between_reports = 1 << 20;
  write_file_atomically(path, [&](Writer& out) {
    Builder builder(path, encoder, config, max_length);
    ExampleReader reader(config, encoder.task, files);
    std::int64_t reported = 0;
    for (TextExample text; reader.next(text);) {
      builder.add(text, reader, out);
      if (!progress || reader.bytes_read() - reported < bytes_between_reports) continue;
      reported = reader.bytes_read();
      progress(reported, reader.bytes_total());
    }
    if (progress) progress(reader.bytes_total(), reader.bytes_total());
    if (builder.tokens() == 0 && builder.examples() == 0)
      throw Error("{}: no example is left{}", files.source.front().string(),
                  builder.skipped() == 0 ? ": all lines are blank"
                                         : format("; data.too_long passed over all {}", builder.skipped()));
    builder.finish(fingerprint, out);
  });
}

}  // namespace

TokenStore open_token_store(const fs::path& path, const TextEncoder& encoder, const DataConfig& config,
                            const DataFiles& files, std::int64_t max_length, const BuildProgress& progress) {
  const std::uint64_t fingerprint = fingerprint_of(encoder, config, files, max_length);
  try {
    if (TokenStore store(path); store.fingerprint() == fingerprint) return store;
  } catch (const Error&) {
    // There is none yet, or not a whole one.
  }
  build(path, encoder, config, files, max_length, fingerprint, progress);
  return TokenStore(path);
}

}  // namespace heed
