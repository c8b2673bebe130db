#pragma once
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace heed {

using Lines = std::vector<std::string>;
using ReferenceSets = std::vector<Lines>;

/// Where the cases of sacreBLEU's own tests are: HEED_METRIC_CASES, or the folder of shared data.
inline std::filesystem::path metric_cases_path() {
  if (const char* path = std::getenv("HEED_METRIC_CASES")) return path;
  const char* shared = std::getenv("HEED_SHARED");
  return std::filesystem::path(shared ? shared : HEED_SOURCE_FOLDER "/../shared") / "data/metrics/sacrebleu_cases.json";
}

/// Calls set(name, value) for each of the case's own options, its "kwargs".
template <class Set>
void for_each_option(const nlohmann::json& one, Set set) {
  if (!one.contains("kwargs")) return;
  for (const auto& [name, value] : one.at("kwargs").items()) set(name, value);
}

using MetricCaseFunctions = std::map<std::string, std::function<void(const nlohmann::json&)>>;

/// Runs every table of `group` with the function that its name calls for; a group that is itself a table runs with
/// the function "". Tables no function knows are failures.
inline void run_metric_cases(const std::string& group, const MetricCaseFunctions& functions) {
  std::ifstream file(metric_cases_path());
  if (!file) GTEST_SKIP() << "no cases at " << metric_cases_path() << "; HEED_METRIC_CASES names another file";
  const nlohmann::json cases = nlohmann::json::parse(file);

  const auto run_table = [&](const std::string& name, const nlohmann::json& table) {
    const auto function = functions.find(name);
    if (function == functions.end()) {
      ADD_FAILURE() << "no test knows the table \"" << name << "\" of " << group;
      return;
    }
    for (const nlohmann::json& one : table.is_array() ? table : table.at("cases")) {
      SCOPED_TRACE(group + ", table \"" + name + "\", case " + one.dump());
      // A table that is an object holds what its cases share.
      function->second(table.is_array() ? one : nlohmann::json{{"case", one}, {"of", table}});
    }
  };
  bool found = false;
  for (const auto& [key, tables] : cases.items()) {
    // A key may go on with a remark in brackets.
    if (key != group && !key.starts_with(group + " (")) continue;
    found = true;
    if (tables.is_array())
      run_table("", tables);
    else
      for (const auto& [name, table] : tables.items()) run_table(name, table);
  }
  if (!found) GTEST_SKIP() << metric_cases_path() << " has no cases of " << group;
}

}  // namespace heed
