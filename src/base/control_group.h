#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace heed {

/// A Linux control group: what a container may use, whatever the machine has. Version 2 (one tree) and version 1 (a
/// tree a controller) are read through the same questions.
///
/// `root` stands in front of /proc and /sys, so that a test can lay out a machine of its own.
class ControlGroups {
 public:
  explicit ControlGroups(std::string root = "");

  /// Folders of this process's group for `controller` ("cpu", "memory") and of all groups around it, innermost first.
  struct Folders {
    std::vector<std::string> version2;
    std::vector<std::string> version1;
  };
  Folders folders(const std::string& controller) const;

  /// Processors by the strictest CPU quota around this process, rounded up; none without a quota.
  std::optional<int> processors() const;
  /// The lowest limit of memory in bytes; none without one.
  std::optional<std::int64_t> memory_limit() const;
  /// The least of limit less use, in bytes, where file pages that the kernel can drop at once do not count as used.
  std::optional<std::int64_t> memory_left() const;

 private:
  std::string root_;
};

}  // namespace heed
