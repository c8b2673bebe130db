// Attention kernels of every instruction set against the reference in double, forward and backward: the bytes choose
// spec and problem. Operands end where a page begins that cannot be touched, so that a read beyond them is seen in
// kernels too, which are not instrumented.
#include <cstdio>
#include <cstdlib>

#include "attention/compare.h"
#include "attention/random_choice.h"

using namespace heed;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static ThreadPool pool(2);
  attention::Draw draw(data, size);
  const attention::Choice choice = attention::random_choice(draw);
  const auto seed = static_cast<std::uint64_t>(draw.below(256));
  attention::Comparison comparison(choice, seed);
  for (const kernels::InstructionSet set : kernels::available()) {
    const std::string difference = comparison.difference_of(set, pool);
    if (difference.empty()) continue;
    std::fprintf(stderr, "seed %d: %s\n%s", static_cast<int>(seed), choice.text().c_str(), difference.c_str());
    std::abort();
  }
  return 0;
}
