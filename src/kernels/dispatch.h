#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace heed::kernels {

/// The instruction sets that kernels are compiled for, best first.
enum class InstructionSet : unsigned char { avx512_bf16, avx512, avx2, portable };

std::string_view name_of(InstructionSet set);
/// Compiled in and present in this processor, best first; ends in `portable` always.
const std::vector<InstructionSet>& available();
/// The one in use: the best available, or what the environment variable HEED_ISA names. Chosen at first use. Throws Error
/// naming the missing instructions when the processor lacks what was asked for.
InstructionSet chosen();

}  // namespace heed::kernels
