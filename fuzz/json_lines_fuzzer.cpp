// JSON lines: the fields asked for are there, without NUL, and quoted again they read the same.
#include "formats/json_lines.h"
#include "formats/json_text.h"
#include "input.h"

using namespace heed;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text = input_of(data, size);
  const std::vector<std::string> keys{"a", "b.c"};
  allow_errors([&] {
    JsonLinesReader reader(LineReader(ByteReader::of_bytes(text, "x")), keys);
    while (reader.next()) {
      must(reader.fields().size() == 2);
      const std::string line = "{\"a\":" + json_quote(reader[0]) + ",\"b\":{\"c\":" + json_quote(reader[1]) + "}}";
      JsonLinesReader again(LineReader(ByteReader::of_bytes(line, "x")), keys);
      must(again.next() && again.fields() == reader.fields());
    }
  });
  return 0;
}
