#pragma once
#include <string>
#include <string_view>

namespace heed {

/// `text` as a JSON string with its quotes; bytes that are not UTF-8 become U+FFFD.
std::string json_quote(std::string_view text);

/// What went wrong, out of a message of the JSON library "[json.exception…] parse error at line 1, column 7: …".
std::string_view json_reason(std::string_view message);

}  // namespace heed
