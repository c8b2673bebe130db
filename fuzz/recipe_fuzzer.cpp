// Any bytes are a recipe that reads back equal, or one heed::Error; and any line is an override or an Error.
#include <heed/error.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "train/recipe.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    const heed::Recipe recipe = heed::parse_recipe(text, "recipe.toml");
    if (!(heed::parse_recipe(heed::write_recipe(recipe), "recipe.toml") == recipe)) std::abort();
    heed::check(recipe);
  } catch (const heed::Error&) {
  }
  try {
    heed::parse_recipe("", "recipe.toml", {std::string(text)});
  } catch (const heed::Error&) {
  }
  return 0;
}
