#pragma once
#include <string>

#include "experiments/search_summary.h"

namespace heed {

/// The trials of a search as a page to look at in a browser, complete in one file: no scripts, nothing is loaded. The
/// first objective is drawn against each other one, with the Pareto front (of one objective: against the trial's
/// number), and against each key that varies; below stand tables of the front and of all trials. The same summary gives
/// the same bytes.
std::string search_html(const SearchSummary& summary);

}  // namespace heed
