#include "base/memory.h"

#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <string>

#include "base/control_group.h"

namespace heed {

namespace {

std::int64_t machine_memory() {
  const auto pages = static_cast<std::int64_t>(sysconf(_SC_PHYS_PAGES));
  const auto page_bytes = static_cast<std::int64_t>(sysconf(_SC_PAGESIZE));
  return std::max<std::int64_t>(pages, 0) * std::max<std::int64_t>(page_bytes, 0);
}

}  // namespace

std::int64_t physical_memory() {
  return std::min(machine_memory(), ControlGroups().memory_limit().value_or(INT64_MAX));
}

std::int64_t available_memory() {
  std::int64_t available = machine_memory();
  std::ifstream file("/proc/meminfo");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with("MemAvailable:")) available = std::stoll(line.substr(13)) * 1024;
  return std::min(available, ControlGroups().memory_left().value_or(INT64_MAX));
}

}  // namespace heed
