#pragma once
#include <heed/tensor.h>

#include <string>
#include <vector>

namespace heed {

/// Who looked at whom: what the pictures of attention are drawn from.
struct AttentionMap {
  std::string title;                 ///< a line of plain text
  std::string caption;               ///< sentences of plain text: how to read the picture
  std::vector<std::string> rows;     ///< what looks (for a translation, the tokens of the answer)
  std::vector<std::string> columns;  ///< what is looked at (the tokens of the source)
  std::vector<std::string> heads;    ///< names, such as "layer 2, head 1"
  Tensor weights;                    ///< [heads, rows, columns], float32, 0 to 1
};

/// Throws Error unless there is a head, a row and a column, and the weights have one place for each.
void check(const AttentionMap& map);

/// [rows, columns]. Rows that sum to 1 in every head do so in the mean.
Tensor mean_over_heads(const AttentionMap& map);

/// A label that shows in one line: ill-formed UTF-8 becomes U+FFFD, control characters their pictures (␊, ␉), a space
/// or nothing "␣".
std::string shown_label(const std::string& label);

/// Columns that a text takes in a terminal: two for East Asian wide characters and emoji, none for combining marks.
int display_width(const std::string& text);

}  // namespace heed
