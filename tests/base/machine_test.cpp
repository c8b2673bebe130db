#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

#include "base/clock.h"
#include "base/control_group.h"
#include "base/cpu_features.h"
#include "base/log.h"
#include "base/memory.h"

namespace heed {
namespace {

namespace fs = std::filesystem;

/// A machine laid out in files, gone with the test.
class ControlGroupsOfAMachine : public testing::Test {
 protected:
  void SetUp() override {
    const auto* test = testing::UnitTest::GetInstance()->current_test_info();
    root_ = fs::temp_directory_path() / (std::string("heed_machine_") + test->name() + std::to_string(getpid()));
  }
  void TearDown() override { fs::remove_all(root_); }
  void write(const std::string& path, const std::string& text) {
    const fs::path file = root_ / path;
    fs::create_directories(file.parent_path());
    std::ofstream(file) << text;
  }
  ControlGroups groups() const { return ControlGroups(root_.string()); }

 private:
  fs::path root_;
};

TEST_F(ControlGroupsOfAMachine, Version2GivesTheStrictestQuotaRoundedUp) {
  write("proc/self/cgroup", "0::/pod/box\n");
  write("sys/fs/cgroup/pod/box/cpu.max", "max 100000\n");
  write("sys/fs/cgroup/pod/cpu.max", "250000 100000\n");
  EXPECT_EQ(groups().processors(), 3);
}

TEST_F(ControlGroupsOfAMachine, Version1GivesTheQuotaOfTheControllersTree) {
  write("proc/self/cgroup", "4:memory:/box\n2:cpu,cpuacct:/box\n");
  write("sys/fs/cgroup/cpu/box/cpu.cfs_quota_us", "50000\n");
  write("sys/fs/cgroup/cpu/box/cpu.cfs_period_us", "100000\n");
  write("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n");
  write("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(groups().processors(), 1);
}

TEST_F(ControlGroupsOfAMachine, QuotaIsFoundWhereTheGroupsOwnFolderIsHidden) {
  write("proc/self/cgroup", "2:cpu:/kubepods/box\n");
  write("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "400000\n");
  write("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(groups().processors(), 4);
}

TEST_F(ControlGroupsOfAMachine, MemoryLeftDoesNotCountPagesThatCanBeDropped) {
  write("proc/self/cgroup", "0::/box\n");
  write("sys/fs/cgroup/box/memory.max", "1000000\n");
  write("sys/fs/cgroup/box/memory.current", "700000\n");
  write("sys/fs/cgroup/box/memory.stat", "anon 500000\ninactive_file 100000\n");
  EXPECT_EQ(groups().memory_limit(), 1000000);
  EXPECT_EQ(groups().memory_left(), 400000);
}

TEST_F(ControlGroupsOfAMachine, Version1SaysUnlimitedWithAHugeNumber) {
  write("proc/self/cgroup", "3:memory:/box\n");
  write("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  EXPECT_EQ(groups().memory_limit(), std::nullopt);
  write("sys/fs/cgroup/memory/box/memory.limit_in_bytes", "5000\n");
  write("sys/fs/cgroup/memory/box/memory.usage_in_bytes", "7000\n");
  EXPECT_EQ(groups().memory_limit(), 5000);
  EXPECT_EQ(groups().memory_left(), 0);
}

TEST_F(ControlGroupsOfAMachine, NoControlGroupsMeanNoLimits) {
  EXPECT_EQ(groups().processors(), std::nullopt);
  EXPECT_EQ(groups().memory_limit(), std::nullopt);
  write("proc/self/cgroup", "nonsense\n::\n0::relative\n");
  EXPECT_EQ(groups().processors(), std::nullopt);
}

TEST(Memory, AvailableIsPositiveAndAtMostWhatThereIs) {
  EXPECT_GT(available_memory(), 0);
  EXPECT_LE(available_memory(), physical_memory());
}

TEST(Clock, RunsForward) {
  const double start = now();
  std::this_thread::sleep_for(std::chrono::milliseconds(2));
  EXPECT_GE(now() - start, 0.002);
}

TEST(CpuFeatures, WiderInstructionSetsIncludeNarrowerOnes) {
  const CpuFeatures& features = cpu_features();
  EXPECT_LE(features.avx512, features.avx2_fma);
  EXPECT_LE(features.avx512_bf16, features.avx512);
  EXPECT_LE(features.avx512_vnni, features.avx512);
}

TEST(CpuFeatures, AgreeWithWhatTheKernelLists) {
  std::ifstream file("/proc/cpuinfo");
  std::string flags;
  while (std::getline(file, flags) && !flags.starts_with("flags")) {
  }
  if (!flags.starts_with("flags")) GTEST_SKIP() << "/proc/cpuinfo lists no flags on this processor";
  flags += ' ';
  const auto listed = [&](const char* flag) { return flags.find(std::string(" ") + flag + ' ') != std::string::npos; };
  EXPECT_EQ(cpu_features().avx2_fma, listed("avx2") && listed("fma") && listed("f16c") && listed("bmi2"));
  EXPECT_EQ(cpu_features().avx512,
            listed("avx512f") && listed("avx512bw") && listed("avx512dq") && listed("avx512vl") && listed("avx512cd"));
  EXPECT_EQ(cpu_features().avx512_bf16, listed("avx512_bf16"));
  EXPECT_EQ(cpu_features().avx512_vnni, listed("avx512_vnni"));
  EXPECT_EQ(cpu_features().amx_bf16, listed("amx_bf16") && listed("amx_tile"));
}

TEST(Log, IsACallbackThatMayBeEmpty) {
  EXPECT_FALSE(Log());
  std::string heard;
  const Log log = [&](LogLevel level, std::string_view text) { heard = level == LogLevel::warning ? text : ""; };
  log(LogLevel::warning, "a sentence");
  EXPECT_EQ(heard, "a sentence");
}

}  // namespace
}  // namespace heed
