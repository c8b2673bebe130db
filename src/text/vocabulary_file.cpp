#include "text/vocabulary_file.h"

#include <heed/error.h>
#include <heed/random.h>
#include <zlib.h>

#include <nlohmann/json.hpp>

#include "formats/file.h"
#include "formats/json_text.h"

namespace heed {

namespace fs = std::filesystem;

namespace {

constexpr int format_version = 1;

std::uint64_t checksum(std::uint64_t start, std::string_view bytes) {
  return crc32_z(static_cast<uLong>(start), reinterpret_cast<const Bytef*>(bytes.data()), bytes.size());
}

/// Read whole: a mapped file may not be empty, and says so itself.
std::string read_whole(const fs::path& path) { return std::string(MappedFile(path).bytes()); }

}  // namespace

std::uint64_t fingerprint(const VocabularyFile& contents) {
  std::uint64_t sum = checksum(0, contents.kind);
  sum = checksum(sum, contents.algorithm);
  sum = checksum(sum, contents.model);
  // A text holds no NUL byte, so it can tell where one entry ends.
  for (const std::string& entry : contents.entries) sum = checksum(sum, {entry.c_str(), entry.size() + 1});
  return sum | (static_cast<std::uint64_t>(contents.entries.size() + contents.model.size()) << 32);
}

void write_vocabulary_file(const fs::path& folder, const std::string& name, const VocabularyFile& contents) {
  if (!contents.model.empty())
    write_file_atomically(folder / (name + ".model"), [&](Writer& out) { out.write(contents.model); });
  write_file_atomically(folder / (name + ".json"), [&](Writer& out) {
    out.write(format("{\"format\": \"heed vocabulary\", \"version\": {}, \"kind\": {}, \"algorithm\": {},\n",
                     format_version, json_quote(contents.kind), json_quote(contents.algorithm)));
    out.write(format("\"fingerprint\": {}, \"entries\": [", fingerprint(contents)));
    for (std::size_t i = 0; i < contents.entries.size(); ++i)  // an entry a line, to be read and compared by eye
      out.write((i == 0 ? "\n" : ",\n") + json_quote(contents.entries[i]));
    out.write("]}\n");
  });
}

VocabularyFile read_vocabulary_file(const fs::path& folder, const std::string& name) {
  const fs::path path = folder / (name + ".json");
  const std::string text = read_whole(path);
  const nlohmann::json json = nlohmann::json::parse(text, nullptr, false);
  if (!json.is_object() || json.value("format", nlohmann::json()) != "heed vocabulary")
    throw Error("{}: is not a vocabulary of heed, or it was cut or altered; copy the model folder again",
                path.string());
  if (const auto version = json.value("version", nlohmann::json()); version != format_version)
    throw Error(
        "{}: the vocabulary's format version is {}; this heed reads {}; use the heed that wrote it or a newer one",
        path.string(), version.is_number() ? version.dump() : "not a number", format_version);
  VocabularyFile contents;
  std::uint64_t expected = 0;
  try {
    contents.kind = json.at("kind").get<std::string>();
    contents.algorithm = json.at("algorithm").get<std::string>();
    contents.entries = json.at("entries").get<std::vector<std::string>>();
    expected = json.at("fingerprint").get<std::uint64_t>();
  } catch (const nlohmann::json::exception& error) {
    throw Error("{}: the vocabulary was altered ({}); copy the model folder again", path.string(), error.what());
  }
  if (contents.kind == "subword") contents.model = read_whole(folder / (name + ".model"));
  if (fingerprint(contents) != expected)
    throw Error("{}: the vocabulary was cut or altered (its checksum differs); copy the model folder again",
                contents.model.empty() ? path.string() : (folder / (name + ".model")).string());
  return contents;
}

}  // namespace heed
