#include "formats/json_text.h"

#include <nlohmann/json.hpp>

namespace heed {

std::string json_quote(std::string_view text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string_view json_reason(std::string_view message) {
  for (const std::string_view start : {"] ", ": "}) {
    const std::size_t place = message.find(start);
    if (place != std::string_view::npos) message.remove_prefix(place + start.size());
  }
  return message;
}

}  // namespace heed
