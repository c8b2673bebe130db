// Vocabularies of a model folder: what is read encodes any text to its own ids, decodes them, samples, and is read back
// as it was saved. The first byte says what the others are: the file itself, or the contents of one that is whole (no
// mutation finds the right checksum): entries, one a line, or a SentencePiece model.
#include <algorithm>
#include <span>

#include "folder.h"
#include "formats/utf8.h"
#include "input.h"
#include "text/vocabulary.h"
#include "text/vocabulary_file.h"

using namespace heed;

namespace {

void use(const Vocabulary& vocabulary, const std::string& text) {
  const auto known = [&](const std::vector<std::int32_t>& ids) {
    return std::all_of(ids.begin(), ids.end(), [&](std::int32_t id) { return id >= 0 && id < vocabulary.size(); });
  };
  const std::vector<std::int32_t> ids = vocabulary.encode(text);
  must(known(ids));
  const std::string decoded = vocabulary.decode(ids);
  if (vocabulary.kind() == "character" && std::find(ids.begin(), ids.end(), Vocabulary::unknown()) == ids.end())
    must(decoded == text);
  must(known(vocabulary.resample(ids, 0.3, RandomKey{1})));
  for (std::int32_t id = 0; id < std::min(vocabulary.size(), 300); ++id) vocabulary.piece(id);
}

/// The vocabulary in the folder, if there is one.
void read_and_use(const FuzzFolder& folder, const std::string& text) {
  try {
    const auto vocabulary = load_vocabulary(folder.path(), "x");
    use(*vocabulary, text);
    vocabulary->save(folder.path(), "again");
    must(load_vocabulary(folder.path(), "again")->fingerprint() == vocabulary->fingerprint());
  } catch (const Error& error) {
    const std::string_view what = error.what();
    must(what.starts_with(folder.path().string()) || what.starts_with("vocabulary: "));
  }
}

std::vector<std::string> lines_of(std::string_view text) {
  std::vector<std::string> lines;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    lines.emplace_back(text.substr(at, end - at));
    at = end + 1;
  }
  return lines;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const FuzzFolder folder;
  if (size == 0) return -1;
  const std::string bytes = input_of(data + 1, size - 1);
  const std::string text = replace_bad_utf8(bytes.substr(bytes.size() - std::min<std::size_t>(bytes.size(), 60)));
  if (data[0] == 'f') {
    folder.put("x.model", "");
    folder.put("x.json", bytes);
  } else if (data[0] == 'c' || data[0] == 'w') {
    const bool characters = data[0] == 'c';
    write_vocabulary_file(
        folder.path(), "x",
        {.kind = characters ? "character" : "word", .algorithm = "", .entries = lines_of(bytes), .model = {}});
  } else if (data[0] == 'b' || data[0] == 'u') {
    write_vocabulary_file(
        folder.path(), "x",
        {.kind = "subword", .algorithm = data[0] == 'b' ? "bpe" : "unigram", .entries = {}, .model = bytes});
  } else {
    return -1;
  }
  read_and_use(folder, text);
  return 0;
}
