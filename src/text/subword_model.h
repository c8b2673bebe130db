#pragma once
#include <string_view>

namespace heed {

/// Throws Error when a serialised SentencePiece model has what would end the process while it is loaded: a piece with a
/// NUL byte, or structure that hides pieces from this look. All else is SentencePiece's to judge.
void check_subword_model(std::string_view model);

}  // namespace heed
