#pragma once
#include <string>

namespace heed {

/// What the processor has and the system lets programs use. All false on other than x86-64.
struct CpuFeatures {
  bool avx2_fma = false;     ///< all of x86-64-v3: AVX2, FMA, F16C, BMI1, BMI2, LZCNT, MOVBE
  bool avx512 = false;       ///< all of x86-64-v4: the above with AVX-512 F, BW, DQ, VL, CD
  bool avx512_bf16 = false;  ///< besides avx512
  bool avx512_vnni = false;  ///< besides avx512
  bool amx_bf16 = false;     ///< a process must still ask Linux for the tiles (arch_prctl ARCH_REQ_XCOMP_PERM)
  bool amx_int8 = false;     ///< likewise
  std::string model;         ///< "Intel(R) Xeon(R) …", or empty
};

/// Read once, at the first call.
const CpuFeatures& cpu_features();

}  // namespace heed
