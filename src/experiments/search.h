#pragma once
#include <atomic>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "experiments/search_space.h"
#include "experiments/trials.h"

namespace heed {

struct SearchRun {
  std::filesystem::path folder;
  int parallel = 1;  ///< trials side by side in this process, each with its share of the threads
  int threads = 0;   ///< all together; 0: the processors that the process may use
  const std::atomic<bool>* stop = nullptr;
  // All may be empty, and are called from several threads at once.
  std::function<void(const Trial& trial, const std::string& what)> started{};  ///< "new", "goes on", "promoted"
  std::function<void(const Trial& trial)> finished{};  ///< came to the end of a rung or of its training, or failed
  std::function<void(std::int64_t trial, double done, const std::string& text)> progress{};
};

/// Why a search ended: "trials", "the whole space", "minutes" or "interrupted".
struct SearchResult {
  std::string reason;
  std::vector<Trial> trials;
};

/// Trains recipes of the space into FOLDER/trial-NNNN and keeps score in FOLDER/trials.sqlite. Where the folder has
/// trials of the space already it goes on with them; any number of processes may work on one folder at once. After kill
/// -9 at any moment a trial goes on from its last checkpoint, in this or another process.
///
/// Trials share tokenised data (FOLDER/data). A trial that cannot be trained (a loss that is not finite, too little
/// memory) is marked failed. Throws Error for what read_search_space and Trials refuse, and when the first trials all
/// fail.
SearchResult search(const SearchSpace& space, const SearchRun& run);

/// FOLDER/trial-0042: a model folder, once it has begun.
std::filesystem::path trial_folder(const std::filesystem::path& folder, std::int64_t trial);

}  // namespace heed
