#pragma once
#include <algorithm>
#include <cstdint>
#include <span>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace heed {

/// Numbers words, equal words alike, in the order they are first seen. Keeps views of them.
class WordNumbers {
 public:
  std::vector<uint32_t> operator()(const std::vector<std::string_view>& words) {
    std::vector<uint32_t> numbers;
    numbers.reserve(words.size());
    for (const std::string_view word : words)
      numbers.push_back(numbers_.try_emplace(word, static_cast<uint32_t>(numbers_.size())).first->second);
    return numbers;
  }

 private:
  std::unordered_map<std::string_view, uint32_t> numbers_;
};

/// Calls visit(order, counts) for each distinct n-gram of `texts` of each order 1 … max_order, where counts[t] is how
/// often text t has it.
///
/// An n-gram is named by its first n − 1 symbols' name and its last symbol, so equality is exact at any order, and a
/// sort (quicker than hashing for texts of a sentence's length) brings equal names together.
template <class Visit>
void visit_ngrams(std::span<const std::vector<uint32_t>> texts, int max_order, Visit visit) {
  struct Occurrence {
    uint64_t key;
    uint32_t text, place;
  };
  std::vector<Occurrence> occurrences;
  std::vector<std::vector<uint32_t>> names(texts.size());
  for (size_t t = 0; t < texts.size(); ++t) names[t].resize(texts[t].size());
  std::vector<int64_t> counts(texts.size());

  for (int order = 1; order <= max_order; ++order) {
    occurrences.clear();
    const size_t reach = static_cast<size_t>(order) - 1;
    for (size_t t = 0; t < texts.size(); ++t)
      for (size_t place = 0; place + reach < texts[t].size(); ++place)
        occurrences.push_back({uint64_t{names[t][place]} << 32 | texts[t][place + reach], static_cast<uint32_t>(t),
                               static_cast<uint32_t>(place)});
    std::sort(occurrences.begin(), occurrences.end(),
              [](const Occurrence& a, const Occurrence& b) { return a.key < b.key; });

    uint32_t name = 0;
    for (size_t i = 0; i < occurrences.size(); ++name) {
      std::fill(counts.begin(), counts.end(), 0);
      for (const uint64_t key = occurrences[i].key; i < occurrences.size() && occurrences[i].key == key; ++i) {
        ++counts[occurrences[i].text];
        names[occurrences[i].text][occurrences[i].place] = name;
      }
      visit(order, std::span<const int64_t>(counts));
    }
  }
}

}  // namespace heed
