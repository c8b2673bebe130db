#pragma once
#include <heed/error.h>

#include <string>
#include <string_view>
#include <vector>

namespace heed {

/// Throws unless there is a hypothesis, and every set of `references` has one line for each.
inline void check_corpus(std::string_view metric, const std::vector<std::string>& hypotheses,
                         const std::vector<std::vector<std::string>>& references) {
  if (hypotheses.empty()) throw Error("{}: there are no hypotheses; a corpus has at least one line", metric);
  if (references.empty()) throw Error("{}: there are no references for {} hypotheses", metric, hypotheses.size());
  for (size_t set = 0; set < references.size(); ++set)
    if (references[set].size() != hypotheses.size())
      throw Error(
          "{}: {} hypotheses, but reference set {} has {} lines; each hypothesis needs one reference of each set",
          metric, hypotheses.size(), set + 1, references[set].size());
}

/// The references of one hypothesis.
inline std::vector<std::string_view> references_of(const std::vector<std::vector<std::string>>& references,
                                                   size_t sentence) {
  std::vector<std::string_view> lines;
  for (const std::vector<std::string>& set : references) lines.emplace_back(set[sentence]);
  return lines;
}

}  // namespace heed
