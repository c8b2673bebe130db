#include "base/control_group.h"

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace heed {

namespace {

// Version 1 says "no limit" with the largest multiple of a page below 2^63.
constexpr std::int64_t practically_unlimited = std::int64_t{1} << 60;

/// The first number in the file at `path`; none for "max", for text and for a missing file.
std::optional<std::int64_t> number_in(const std::string& path) {
  std::ifstream file(path);
  std::int64_t value = 0;
  if (file >> value) return value;
  return std::nullopt;
}

/// The number after the word `key` in a file of "key number" lines.
std::optional<std::int64_t> number_after(const std::string& key, const std::string& path) {
  std::ifstream file(path);
  std::string word;
  std::int64_t value = 0;
  while (file >> word >> value)
    if (word == key) return value;
  return std::nullopt;
}

std::vector<std::string> with_ancestors(const std::string& mount, std::string group) {
  std::vector<std::string> folders;
  while (group.size() > 1 && group.front() == '/') {
    folders.push_back(mount + group);
    group.resize(group.find_last_of('/'));
  }
  folders.push_back(mount);
  return folders;
}

bool names(const std::string& controllers, const std::string& controller) {
  std::istringstream list(controllers);
  for (std::string name; std::getline(list, name, ',');)
    if (name == controller) return true;
  return false;
}

template <class T>
void lower(std::optional<T>& least, T value) {
  least = least ? std::min(*least, value) : value;
}

struct MemoryFiles {
  const char* limit;
  const char* usage;
  const char* droppable;  // its key in memory.stat
};
constexpr MemoryFiles memory_files_2{"/memory.max", "/memory.current", "inactive_file"};
constexpr MemoryFiles memory_files_1{"/memory.limit_in_bytes", "/memory.usage_in_bytes", "total_inactive_file"};

/// Calls f(limit, folder, files) for each group around the process that has a limit of memory.
template <class F>
void each_memory_limit(const ControlGroups::Folders& folders, F f) {
  const auto visit = [&](const std::vector<std::string>& list, const MemoryFiles& files) {
    for (const std::string& folder : list) {
      const auto limit = number_in(folder + files.limit);
      if (limit && *limit < practically_unlimited) f(*limit, folder, files);
    }
  };
  visit(folders.version2, memory_files_2);
  visit(folders.version1, memory_files_1);
}

}  // namespace

ControlGroups::ControlGroups(std::string root) : root_(std::move(root)) {}

ControlGroups::Folders ControlGroups::folders(const std::string& controller) const {
  Folders folders;
  const std::string tree = root_ + "/sys/fs/cgroup";
  std::ifstream memberships(root_ + "/proc/self/cgroup");
  for (std::string line; std::getline(memberships, line);) {  // "4:cpu,cpuacct:/group"; version 2: "0::/group"
    const auto first = line.find(':');
    const auto second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const std::string group = line.substr(second + 1);
    if (controllers.empty()) {
      folders.version2 = with_ancestors(tree, group);
    } else if (names(controllers, controller)) {
      std::error_code ignored;
      const std::string joint = tree + "/" + controllers;  // some systems mount only "cpu,cpuacct"
      folders.version1 =
          with_ancestors(std::filesystem::exists(joint, ignored) ? joint : tree + "/" + controller, group);
    }
  }
  return folders;
}

std::optional<int> ControlGroups::processors() const {
  std::optional<int> least;
  const auto limit_to = [&](std::int64_t quota, std::int64_t period) {
    if (quota > 0 && period > 0)
      lower(least, static_cast<int>(std::clamp<std::int64_t>((quota - 1) / period + 1, 1, 1 << 20)));
  };
  const Folders found = folders("cpu");
  for (const std::string& folder : found.version2) {
    std::ifstream file(folder + "/cpu.max");
    std::int64_t quota = 0;
    std::int64_t period = 0;
    if (file >> quota >> period) limit_to(quota, period);
  }
  for (const std::string& folder : found.version1)
    limit_to(number_in(folder + "/cpu.cfs_quota_us").value_or(0), number_in(folder + "/cpu.cfs_period_us").value_or(0));
  return least;
}

std::optional<std::int64_t> ControlGroups::memory_limit() const {
  std::optional<std::int64_t> least;
  each_memory_limit(folders("memory"), [&](std::int64_t limit, const auto&, const auto&) { lower(least, limit); });
  return least;
}

std::optional<std::int64_t> ControlGroups::memory_left() const {
  std::optional<std::int64_t> least;
  each_memory_limit(folders("memory"), [&](std::int64_t limit, const std::string& folder, const MemoryFiles& files) {
    const std::int64_t usage = number_in(folder + files.usage).value_or(0);
    const std::int64_t droppable = number_after(files.droppable, folder + "/memory.stat").value_or(0);
    lower(least, std::max<std::int64_t>(limit - std::max<std::int64_t>(usage - droppable, 0), 0));
  });
  return least;
}

}  // namespace heed
