#pragma once
// A space of recipes that train in a moment: classes of made-up sentences.
#include <atomic>
#include <filesystem>
#include <string>

#include "experiments/search.h"
#include "experiments/search_space.h"
#include "formats/test_files.h"

namespace heed::test {

/// 60 sentences of two classes that a word tells apart.
inline std::string small_sentences() {
  std::string text;
  const char* things[] = {"film", "book", "play", "song", "meal"};
  for (int i = 0; i < 30; ++i) {
    text += std::string("good what a fine ") + things[i % 5] + "\n";
    text += std::string("bad what a dull ") + things[i * 3 % 5] + "\n";
  }
  return text;
}

inline std::string small_classifier() {
  return "task = \"classification\"\n[data]\ntrain = \"train.txt\"\nformat = \"label-lines\"\nvalidation_split = 0.2\n"
         "[vocabulary]\nkind = \"word\"\n[batch]\nsequences = 8\n"
         "[model]\nkind = \"encoder\"\nwidth = 8\nheads = 2\nlayers = 1\nfeed_forward = 8\ncontext = 16\ndropout = "
         "0.0\n"
         "[training]\nepochs = 4\nrate = 0.01\nprecision = \"float32\"\n";
}

/// Writes recipe, data and a space file with the two sections as given; its path.
inline std::filesystem::path put_space(const TestFolder& folder, const std::string& search, const std::string& space) {
  put(folder / "train.txt", small_sentences());
  put(folder / "recipe.toml", small_classifier());
  return put(folder / "space.toml", "recipe = \"recipe.toml\"\n[search]\n" + search + "\n[space]\n" + space + "\n");
}

inline SearchRun run_in(const std::filesystem::path& folder) { return {.folder = folder, .parallel = 1, .threads = 1}; }

}  // namespace heed::test
