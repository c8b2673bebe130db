#include "kernels/dispatch.h"

#include <heed/error.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <string>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace heed::kernels {

namespace {

/// The instructions of `set` that this processor (or its operating system) lacks, separated by spaces; empty when none.
std::string missing(InstructionSet set) {
  if (set == InstructionSet::portable) return "";
#if defined(__x86_64__)
  enum Register { eax, ebx, ecx, edx };
  struct Feature {
    const char* name;
    InstructionSet since;  // needed by this set and by every better one
    unsigned leaf, part;
    Register where;
    int bit;
  };
  using enum InstructionSet;
  static constexpr Feature features[] = {
      {"avx", avx2, 1, 0, ecx, 28},
      {"fma", avx2, 1, 0, ecx, 12},
      {"movbe", avx2, 1, 0, ecx, 22},
      {"f16c", avx2, 1, 0, ecx, 29},
      {"bmi1", avx2, 7, 0, ebx, 3},
      {"avx2", avx2, 7, 0, ebx, 5},
      {"bmi2", avx2, 7, 0, ebx, 8},
      {"lzcnt", avx2, 0x80000001u, 0, ecx, 5},
      {"avx512f", avx512, 7, 0, ebx, 16},
      {"avx512dq", avx512, 7, 0, ebx, 17},
      {"avx512cd", avx512, 7, 0, ebx, 28},
      {"avx512bw", avx512, 7, 0, ebx, 30},
      {"avx512vl", avx512, 7, 0, ebx, 31},
      {"avx512_vnni", avx512_bf16, 7, 0, ecx, 11},
      {"avx512_bf16", avx512_bf16, 7, 1, eax, 5},
  };
  std::string names;
  for (const Feature& feature : features) {
    if (feature.since < set) continue;
    unsigned registers[4] = {};
    const bool known =
        __get_cpuid_count(feature.leaf, feature.part, &registers[0], &registers[1], &registers[2], &registers[3]) != 0;
    if (!known || ((registers[feature.where] >> feature.bit) & 1u) == 0) names += std::string(" ") + feature.name;
  }
  // The operating system must save the wide registers as well: XCR0 bits 1–2 for 256 bits, 5–7 for 512.
  unsigned basic[4] = {};
  __get_cpuid(1, &basic[0], &basic[1], &basic[2], &basic[3]);
  std::uint32_t saved = 0, upper = 0;
  if ((basic[ecx] >> 27) & 1u) __asm__ volatile("xgetbv" : "=a"(saved), "=d"(upper) : "c"(0));
  const std::uint32_t needed = set == avx2 ? 0x06u : 0xe6u;
  if ((saved & needed) != needed) names += " (registers that the operating system saves)";
  return names;
#else
  return " (an x86-64 processor)";
#endif
}

#if defined(HEED_HAS_avx2)
constexpr bool compiled(InstructionSet) { return true; }
#else
constexpr bool compiled(InstructionSet set) { return set == InstructionSet::portable; }
#endif

constexpr std::array all = {InstructionSet::avx512_bf16, InstructionSet::avx512, InstructionSet::avx2,
                            InstructionSet::portable};

InstructionSet choose() {
  const char* forced = std::getenv("HEED_ISA");
  if (!forced || !*forced) return available().front();
  for (const InstructionSet set : all) {
    if (name_of(set) != forced) continue;
    if (!compiled(set)) throw Error("HEED_ISA={}: this build has only the portable kernels; unset HEED_ISA", forced);
    if (const std::string lacking = missing(set); !lacking.empty())
      throw Error("HEED_ISA={}: this processor lacks{}; the best it has is {}", forced, lacking,
                  name_of(available().front()));
    return set;
  }
  throw Error("HEED_ISA={}: no such instruction set; expected avx512_bf16, avx512, avx2 or portable", forced);
}

std::atomic<InstructionSet>& current() {
  static std::atomic<InstructionSet> set = choose();
  return set;
}

}  // namespace

std::string_view name_of(InstructionSet set) {
  switch (set) {
    case InstructionSet::avx512_bf16:
      return "avx512_bf16";
    case InstructionSet::avx512:
      return "avx512";
    case InstructionSet::avx2:
      return "avx2";
    case InstructionSet::portable:
      break;
  }
  return "portable";
}

const std::vector<InstructionSet>& available() {
  static const std::vector<InstructionSet> sets = [] {
    std::vector<InstructionSet> found;
    for (const InstructionSet set : all)
      if (compiled(set) && missing(set).empty()) found.push_back(set);
    return found;
  }();
  return sets;
}

InstructionSet chosen() { return current().load(std::memory_order_relaxed); }

InstructionSet use(InstructionSet set) { return current().exchange(set); }

}  // namespace heed::kernels
