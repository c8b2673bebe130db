#include "base/cpu_features.h"

#include <cstdint>
#include <cstring>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace heed {

namespace {

#if defined(__x86_64__)

struct Registers {
  unsigned a = 0, b = 0, c = 0, d = 0;
};

Registers cpuid(unsigned leaf, unsigned subleaf = 0) {
  Registers r;
  __get_cpuid_count(leaf, subleaf, &r.a, &r.b, &r.c, &r.d);  // leaves zeros when there is no such leaf
  return r;
}

bool bit(unsigned value, int index) { return (value >> index) & 1u; }

// The system saves the tile registers of AMX when it switches threads (bits 17 and 18 of XCR0).
bool system_keeps_tiles() {
  if (!bit(cpuid(1).c, 27)) return false;  // OSXSAVE: xgetbv may be used
  std::uint32_t low = 0;
  std::uint32_t high = 0;
  asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (low & 0x60000u) == 0x60000u;
}

std::string model_name() {
  if (cpuid(0x80000000u).a < 0x80000004u) return {};
  std::string name;
  for (unsigned leaf = 0x80000002u; leaf <= 0x80000004u; ++leaf) {
    const Registers r = cpuid(leaf);
    char part[16];
    std::memcpy(part, &r, sizeof part);
    name.append(part, sizeof part);
  }
  name = name.c_str();  // ends at the first zero
  const auto begin = name.find_first_not_of(' ');
  if (begin == std::string::npos) return {};
  return name.substr(begin, name.find_last_not_of(' ') - begin + 1);
}

CpuFeatures read_features() {
  CpuFeatures features;
  __builtin_cpu_init();
  const unsigned basic = cpuid(1).c;
  const unsigned extended = cpuid(0x80000001u).c;
  const unsigned seven = cpuid(7).d;
  features.avx2_fma = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                      __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2") && bit(basic, 29) &&
                      bit(basic, 22) && bit(extended, 5);
  features.avx512 = features.avx2_fma && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                    __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
                    __builtin_cpu_supports("avx512cd");
  features.avx512_bf16 = features.avx512 && __builtin_cpu_supports("avx512bf16");
  features.avx512_vnni = features.avx512 && __builtin_cpu_supports("avx512vnni");
  const bool tiles = bit(seven, 24) && system_keeps_tiles();
  features.amx_bf16 = tiles && bit(seven, 22);
  features.amx_int8 = tiles && bit(seven, 25);
  features.model = model_name();
  return features;
}

#else

CpuFeatures read_features() { return {}; }

#endif

}  // namespace

const CpuFeatures& cpu_features() {
  static const CpuFeatures features = read_features();
  return features;
}

}  // namespace heed
