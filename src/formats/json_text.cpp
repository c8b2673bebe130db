#include "formats/json_text.h"

#include <nlohmann/json.hpp>

namespace heed {

std::string json_quote(std::string_view text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace heed
