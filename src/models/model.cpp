#include <heed/model.h>

#include <unordered_set>

namespace heed {

std::vector<std::pair<std::string, Weight>> Model::weights() {
  std::vector<std::pair<std::string, Weight>> all;
  std::unordered_set<const Weight::Record*> seen;
  visit([&](const std::string& name, Weight& weight) {
    if (seen.insert(weight.identity()).second) all.emplace_back(name, weight);
  });
  return all;
}

std::int64_t Model::parameters() {
  std::int64_t total = 0;
  for (const auto& [name, weight] : weights()) total += weight.elements();
  return total;
}

void Model::initialise(RandomKey key) {
  std::uint64_t index = 0;
  for (auto& [name, weight] : weights()) weight.initialise(key.fold(index++));
}

}  // namespace heed
