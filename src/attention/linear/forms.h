#pragma once
#include <heed/linear_attention.h>

namespace heed::attention::linear {

/// How a sequence's rows are read. `automatic`: a few one by one, more in chunks.
enum class Form : unsigned char { automatic, recurrent, chunked };

void forward(const LinearAttentionProblem& problem, View output, ThreadPool& pool, Form form);

}  // namespace heed::attention::linear
