#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "experiments/search_config.h"
#include "train/recipe.h"

namespace heed {

/// One key of a recipe and the values that it may take.
struct Dimension {
  std::string key;                   ///< "model.layers"
  std::vector<std::string> choices;  ///< as TOML; empty: a range without a step
  double low = 0.0, high = 0.0;      ///< both included
  bool whole = false;                ///< whole numbers
  bool logarithmic = false;          ///< equal ratios are equally likely
  std::string place;                 ///< "space.toml, line 7, column 1"

  /// The value at `position` in [0, 1).
  std::string at(double position) const;
  /// What a grid takes of it.
  std::vector<std::string> grid(std::int64_t points) const;
  /// Values there are; 0: without end.
  std::int64_t count() const;
};

/// One recipe of the space: the value of each dimension, as TOML.
using Point = std::vector<std::string>;

/// A base recipe, what may change in it, and how good ones are sought.
struct SearchSpace {
  std::string description;
  SearchConfig search;
  Recipe base;  ///< with [set]; paths are absolute; best_by is the first objective
  std::vector<Dimension> dimensions;

  /// Draw number `draw` of the seed, whoever asks.
  Point random_point(std::uint64_t draw) const;
  /// Point `index` of the grid, the last dimension moving fastest; none behind the last.
  std::optional<Point> grid_point(std::uint64_t index) const;
  /// The recipe of a point. Throws Error when its keys contradict each other.
  Recipe recipe(const Point& point) const;
  /// {"model.layers": 2, …}
  std::string json(const Point& point) const;
  /// Throws Error for what json() did not write of this space.
  Point parse(std::string_view json) const;
  /// Recipes there are, contradictions counted too; 0: without end.
  std::int64_t count() const;
  /// All that the trials' results depend on.
  std::string fingerprint() const;
};

/// Reads a space file: `recipe`, [search], [set] and [space]. Throws Error with file, line and column for what is not
/// TOML, an unknown section or key (with the nearest known one), a value that its key does not allow, an empty space or
/// range, an objective that the task does not have, and rungs that do not fit the recipe.
SearchSpace read_search_space(const std::filesystem::path& path, const std::vector<std::string>& overrides = {});

/// A space file with every key, its meaning and default.
std::string documented_search_space();

/// Lower is better: loss, parameters, latency and the like.
bool is_minimised(const std::string& objective);

}  // namespace heed
