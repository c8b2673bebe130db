#pragma once
#include <string>
#include <string_view>

#include "explain/attention_map.h"

namespace heed {

/// A page to look at in a browser, complete in one file: no scripts, nothing is loaded. The mean over the heads is
/// drawn large, below it each head small; a cell's shade is its weight, and the value shows when the pointer rests on
/// it. Follows the reader's light or dark theme. The same map gives the same bytes.
std::string attention_html(const AttentionMap& map);

/// Text as HTML or an attribute's value: & < > " ' are escaped, ill-formed UTF-8 becomes U+FFFD.
std::string escaped_html(std::string_view text);

}  // namespace heed
