#pragma once
#include <heed/error.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

namespace heed {

/// A fuzzer's input: what a reader makes of it may be an Error and nothing else.
inline std::string input_of(const std::uint8_t* data, std::size_t size) { return {data, data + size}; }

/// What must hold of a reader's answer; a fuzzer ends where it does not.
inline void must(bool holds) {
  if (!holds) std::abort();
}

/// Runs a reader. Any other exception than Error escapes and ends the fuzzer.
template <class F>
void allow_errors(F&& read) {
  try {
    read();
  } catch (const Error& error) {
    must(std::string_view(error.what()).starts_with("x"));  // the file's name comes first
  }
}

}  // namespace heed
