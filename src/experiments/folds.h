#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace heed {

/// What examples are divided into folds by. Each span has one entry an example, or none.
struct FoldMaterial {
  std::size_t examples = 0;
  std::span<const std::string> labels{};  ///< stratified: every fold gets its share of each
  std::span<const std::string> groups{};  ///< examples of a group stay together
};

/// The fold of each example, 0 … folds − 1; sizes differ by as little as the groups allow, and the seed decides who
/// goes where. Groups are dealt out the largest first, each to the fold whose classes it evens out most.
///
/// Throws Error when there are fewer than two folds, or fewer examples or groups than folds.
std::vector<int> make_folds(const FoldMaterial& material, int folds, std::uint64_t seed);

/// 0 … folds − 1 in runs of neighbours: for a text whose lines follow each other.
std::vector<int> make_blocks(std::size_t examples, int folds);

/// Throws Error when a class is absent from a fold (it could not be measured there), or from all others (it could not
/// be learned). `names`: what the folds are called; "fold 1", "fold 2", … if empty.
void check_classes(std::span<const std::string> labels, std::span<const int> folds, int count,
                   std::span<const std::string> names = {});

}  // namespace heed
