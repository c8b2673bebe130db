#pragma once
#include <string_view>
#include <vector>

namespace heed::kernels {

/// The instruction sets that kernels are compiled for, best first.
enum class InstructionSet : unsigned char { avx512_bf16, avx512, avx2, portable };

std::string_view name_of(InstructionSet set);
/// Compiled in and present in this processor, best first; ends in `portable` always.
const std::vector<InstructionSet>& available();
/// The one in use: the best available, or what the environment variable HEED_ISA names. Chosen at first use. Throws
/// Error naming the missing instructions when the processor lacks what was asked for.
InstructionSet chosen();
/// Makes `set`, one of available(), the one in use, and gives the one before: for tests and measurements, while no
/// kernel runs.
InstructionSet use(InstructionSet set);

/// One kernel table an instruction set: null where it is not compiled in. Made by HEED_KERNEL_TABLES.
template <class Table>
struct Tables {
  const Table* of[4];
  const Table& operator[](InstructionSet set) const { return *of[static_cast<int>(set)]; }
  const Table& best() const { return (*this)[chosen()]; }
};

}  // namespace heed::kernels

// How a kernel reaches its callers. A file in a cpu/ folder is compiled once per instruction set; it defines, in
// namespace heed::HEED_ISA, one constant table of function pointers:
//
//   // cpu/rows.h             struct RowKernels { void (*add)(const float* x, …); … };     (in heed::kernels)
//   // cpu/rows.cpp           namespace heed::HEED_ISA {
//                             extern const kernels::RowKernels row_kernels;
//                             const kernels::RowKernels row_kernels = {add, …};
//                             }
//   // rows.cpp               HEED_DECLARE_KERNELS(kernels::RowKernels, row_kernels)        (at file scope)
//                             constexpr kernels::Tables<kernels::RowKernels> tables = HEED_KERNEL_TABLES(row_kernels);
//                             … tables.best().add(x, …);
//
// The other functions of such a file are `static` or in an unnamed namespace, and it uses no function of the standard
// library that could be emitted as a weak symbol: tools/check_symbols looks.
#define HEED_DECLARE_KERNELS_OF(isa, Table, name) \
  namespace heed::isa {                           \
  extern const heed::Table name;                  \
  }
#if defined(HEED_HAS_avx2)
#define HEED_DECLARE_KERNELS(Table, name)        \
  HEED_DECLARE_KERNELS_OF(portable, Table, name) \
  HEED_DECLARE_KERNELS_OF(avx2, Table, name)     \
  HEED_DECLARE_KERNELS_OF(avx512, Table, name)   \
  HEED_DECLARE_KERNELS_OF(avx512_bf16, Table, name)
#define HEED_KERNEL_TABLES(name)                                                                \
  {                                                                                             \
    { &heed::avx512_bf16::name, &heed::avx512::name, &heed::avx2::name, &heed::portable::name } \
  }
#else
#define HEED_DECLARE_KERNELS(Table, name) HEED_DECLARE_KERNELS_OF(portable, Table, name)
#define HEED_KERNEL_TABLES(name)                         \
  {                                                      \
    { nullptr, nullptr, nullptr, &heed::portable::name } \
  }
#endif
