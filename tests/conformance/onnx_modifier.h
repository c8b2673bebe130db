#pragma once
// Graphs that change scores or probabilities [batch, heads, queries, keys] (FlexAttention): evaluated on elements, or
// turned into a rule of heed's.
#include <heed/rule.h>

#include "conformance/onnx_case.h"

namespace heed::onnx {

/// Elements of any type as double.
struct Array {
  Shape shape;
  std::vector<double> elements;
};
Array to_array(const Tensor& tensor);

/// What the graph makes of its one input.
Array evaluate(const Graph& graph, const Array& input);

/// The graph as a formula of one score and its place, for scores of the given shape. What does not depend on the score
/// is evaluated beforehand and looked up. Throws Error naming an operator that is none of elements.
ScoreRule rule_of(const Graph& graph, const Shape& scores);

}  // namespace heed::onnx
