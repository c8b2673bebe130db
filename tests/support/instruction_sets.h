#pragma once
#include <gtest/gtest.h>

#include <string>

#include "kernels/dispatch.h"

namespace heed::test {

/// Runs `test` with the kernels of each instruction set that this processor has.
template <class Test>
void on_every_instruction_set(Test&& test) {
  const kernels::InstructionSet before = kernels::chosen();
  for (const kernels::InstructionSet set : kernels::available()) {
    SCOPED_TRACE(std::string(kernels::name_of(set)));
    kernels::use(set);
    test();
  }
  kernels::use(before);
}

}  // namespace heed::test
