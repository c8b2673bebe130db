// Token stores: whatever the index and the footer say, with a footer whose checksum is right, an example lies within
// the file or is one heed::Error.
#include <cstring>

#include "folder.h"
#include "input.h"
#include "text/token_store.h"

using namespace heed;

namespace {

void check(const std::filesystem::path& path) {
  try {
    const TokenStore store(path);
    if (!store.stream())
      for (std::int64_t i = 0; i < store.size(); ++i) {
        const Example example = store.example(i);
        must(example.label == store.label(i));
        const std::size_t tokens = example.source.size() + example.target.size();
        must(store.length(i) ==
             static_cast<std::int64_t>(tokens) +
                 (store.task() == Task::classification || store.task() == Task::language_modelling ? 1 : 2));
      }
    must(static_cast<std::int64_t>(store.range(0, store.tokens()).size()) == store.tokens());
  } catch (const Error& error) {
    must(std::string_view(error.what()).starts_with(path.string()));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const FuzzFolder folder;
  std::string bytes = input_of(data, size);
  check(folder.put("x", bytes));
  if (size < sizeof(TokenFooter)) return 0;
  TokenFooter footer;
  char* place = bytes.data() + bytes.size() - sizeof(TokenFooter);
  std::memcpy(&footer, place, sizeof(TokenFooter));
  footer.check = footer.right_check();
  footer.magic = TokenFooter::heed_tokens;
  std::memcpy(place, &footer, sizeof(TokenFooter));
  check(folder.put("x", bytes));
  return 0;
}
