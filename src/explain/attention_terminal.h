#pragma once
#include <string>

#include "explain/attention_map.h"

namespace heed {

struct TerminalStyle {
  int columns = 80;     ///< width of the terminal
  bool colour = false;  ///< ANSI colours
};

/// The mean over the heads as lines of shades (· ░ ▒ ▓ █): a row for each row of the map, a cell as wide as the label
/// of its column. Columns that do not fit come in further bands below. With colours the strongest cell of a row stands
/// out. Ends with a line end. The map's title is not part of it.
std::string attention_terminal(const AttentionMap& map, const TerminalStyle& style = {});

}  // namespace heed
