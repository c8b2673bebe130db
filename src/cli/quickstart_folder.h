#pragma once
#include <cstdint>
#include <filesystem>
#include <string>

#include "train/recipe.h"

namespace heed::cli {

/// Where `heed quickstart` puts everything, so that it can be looked at and repeated by hand.
struct QuickstartFolder {
  std::filesystem::path path;
  std::filesystem::path recipe() const { return path / "quickstart.toml"; }
  std::filesystem::path corpus() const { return path / "corpus"; }
  std::filesystem::path model() const { return path / "model"; }
  std::filesystem::path page() const { return path / "attention.html"; }

  /// True when an earlier quickstart made it: its recipe is there, with the first line that only quickstart writes.
  bool is_own() const;
  /// Makes the folder with the recipe in it, or clears what an earlier quickstart wrote; other files in it stay. Throws
  /// Error for a folder with files of somebody else, and for one that cannot be made.
  void prepare(std::int64_t seed, std::int64_t steps) const;
  /// The recipe as `heed train` would read it, its files named from the root.
  Recipe read_recipe() const;
};

/// A path as a shell takes it: in quotes where it needs them.
std::string in_shell(const std::filesystem::path& path);
/// What the user typed to run this program ("heed", "build/release/heed"), in shell quotes if need be.
std::string command_name();

}  // namespace heed::cli
