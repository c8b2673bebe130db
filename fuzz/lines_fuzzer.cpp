// Plain and gzip text: every line is UTF-8 without NUL, reading goes on at any place, and lines put together again are
// the file.
#include <algorithm>

#include "formats/lines.h"
#include "formats/utf8.h"
#include "input.h"

using namespace heed;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string input = input_of(data, size);
  const std::string_view text = input;
  must(replace_bad_utf8(text) == to_utf8(to_utf32(text)));
  must(valid_utf8(replace_bad_utf8(text)));

  for (const BadBytes bad : {BadBytes::refuse, BadBytes::replace}) {
    allow_errors([&] {
      const LineOptions options{.bad_bytes = bad, .longest = 100};
      LineReader reader(ByteReader::of_bytes(input, "x"), options);
      std::string joined, again;
      FilePlace middle;
      std::string_view line;
      while (reader.next(line)) {
        must(valid_utf8(line) && line.find('\0') == std::string_view::npos && line.size() <= 300);
        if (reader.line() == 2) middle = reader.place();
        if (reader.line() > 2) again.append(line).append(reader.line_end());
        joined.append(line).append(reader.line_end());
      }
      const bool packed = text.starts_with("\x1f\x8b");
      if (!packed && bad == BadBytes::refuse) must(joined == text.substr(text.starts_with("\xef\xbb\xbf") ? 3 : 0));
      if (middle == FilePlace{}) return;
      LineReader second(ByteReader::of_bytes(input, "x", middle.byte), options, middle);
      std::string rest;
      while (second.next(line)) rest.append(line).append(second.line_end());
      must(rest == again && second.line() == reader.line());
    });
  }
  return 0;
}
