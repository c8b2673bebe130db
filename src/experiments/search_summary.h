#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "experiments/search_config.h"
#include "experiments/trials.h"

namespace heed {

/// A trial with what a report shows of it.
struct SummaryRow {
  Trial trial;
  std::vector<std::string> values{};  ///< of the keys that vary, as text
  std::vector<double> objectives{};   ///< empty without a result
  bool front = false;                 ///< on the Pareto front; of one objective, the best
};

/// A search as its file of trials tells it, while it runs too.
struct SearchSummary {
  std::string title;
  std::string strategy;
  std::string recipes;                  ///< how many the space has, in words
  std::vector<std::string> objectives;  ///< the most important first
  std::vector<std::string> keys{};      ///< of a recipe, that vary
  int rungs = 1;
  std::vector<SummaryRow> rows{};  ///< the front first, then by the first objective, those without a result last

  std::int64_t count(TrialState state) const;
};

/// Reads FOLDER/trials.sqlite, or that file itself. Throws Error as Trials does.
SearchSummary read_search_summary(const std::filesystem::path& folder);

/// "92.31 %", "1,234,567", "0.84 ms", "0.2731": an objective in words.
std::string objective_text(const std::string& objective, double value);
/// Whether it is a share of 1, and is shown in per cent.
bool is_share(const std::string& measure);

}  // namespace heed
