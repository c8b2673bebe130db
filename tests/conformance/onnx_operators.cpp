#include "conformance/onnx_operators.h"

#include <algorithm>

namespace heed::onnx {

namespace {

template <class T>
void convert(const Tensor& from, float* to) {
  const T* const source = from.as<T>();
  for (std::int64_t i = 0; i < from.elements(); ++i) to[i] = static_cast<float>(source[i]);
}

}  // namespace

const Tensor& Call::input(std::size_t i) const {
  if (!optional(i)) throw Error("{}: input {} is not given", node.operation, i);
  return *inputs[i];
}

Tensor to_float32(const Tensor& tensor) {
  Tensor result(tensor.shape());
  float* const to = result.floats();
  switch (tensor.dtype()) {
    case DType::int8:
      convert<std::int8_t>(tensor, to);
      break;
    case DType::uint8:
      convert<std::uint8_t>(tensor, to);
      break;
    case DType::int32:
      convert<std::int32_t>(tensor, to);
      break;
    case DType::int64:
      convert<std::int64_t>(tensor, to);
      break;
    case DType::boolean:
      convert<bool>(tensor, to);
      break;
    default:
      return tensor.to(DType::float32);
  }
  return result;
}

Tensor exchanged(const Tensor& x) {
  const Shape& shape = x.shape();
  const std::int64_t width = shape[3] * size_of(x.dtype());
  Tensor result({shape[0], shape[2], shape[1], shape[3]}, x.dtype());
  const char* from = static_cast<const char*>(x.data());
  for (std::int64_t batch = 0; batch < shape[0]; ++batch)
    for (std::int64_t i = 0; i < shape[1]; ++i)
      for (std::int64_t j = 0; j < shape[2]; ++j, from += width)
        std::copy_n(from, width, static_cast<char*>(result.data()) + ((batch * shape[2] + j) * shape[1] + i) * width);
  return result;
}

Tensor packed(const Tensor& x) {
  if (x.shape().rank() == 3) return x;
  if (x.shape().rank() != 4) throw Error("an input is {}; expected 3 or 4 dimensions", x.shape());
  return exchanged(x).reshaped({x.shape()[0], x.shape()[2], x.shape()[1] * x.shape()[3]});
}

Operator operator_named(const std::string& name) {
  static const std::map<std::string, Operator> operators = {{"Attention", attention},
                                                            {"CausalConvWithState", causal_convolution},
                                                            {"FlexAttention", flex_attention},
                                                            {"GRU", gru},
                                                            {"Gelu", gelu},
                                                            {"LSTM", lstm},
                                                            {"LayerNormalization", layer_normalization},
                                                            {"LinearAttention", linear_attention},
                                                            {"RMSNormalization", rms_normalization},
                                                            {"RNN", rnn},
                                                            {"RotaryEmbedding", rotary_embedding},
                                                            {"Softmax", softmax},
                                                            {"Swish", swish},
                                                            {"TensorScatter", tensor_scatter}};
  const auto found = operators.find(name);
  return found == operators.end() ? nullptr : found->second;
}

Values run(const Graph& graph, Values values, ThreadPool& pool) {
  values.insert(graph.constants.begin(), graph.constants.end());
  for (const Node& node : graph.nodes) {
    Call call{node, {}, pool};
    for (const std::string& name : node.inputs) {
      if (!name.empty() && !values.contains(name)) throw Error("{}: input {} has no value", node.operation, name);
      call.inputs.push_back(name.empty() ? nullptr : &values.at(name));
    }
    const Operator function = operator_named(node.operation);
    if (!function) throw Error("{} is no operator that heed has", node.operation);
    const Outputs outputs = function(call);
    for (std::size_t i = 0; i < node.outputs.size(); ++i)
      if (!node.outputs[i].empty()) values[node.outputs[i]] = outputs.at(i);
  }
  return values;
}

}  // namespace heed::onnx
