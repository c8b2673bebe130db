#include "conformance/onnx_modifier.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <variant>

#include "conformance/onnx_operators.h"

namespace heed::onnx {

namespace {

double where(bool condition, double a, double b) { return condition ? a : b; }
double min(double a, double b) { return std::min(a, b); }
double max(double a, double b) { return std::max(a, b); }

/// Operators of elements, on numbers known and unknown alike; conditions are 1 and 0.
template <class T>
T element_of(const std::string& name, const std::vector<T>& x) {
  using std::abs, std::exp, std::floor, std::log, std::sqrt, std::tanh;
  const T one = 1.0, zero = 0.0;
  const auto is = [&](const char* what, std::size_t count) { return name == what && x.size() == count; };
  const auto holds = [&](const auto& condition) { return where(condition, one, zero); };
  if (is("Identity", 1) || is("Cast", 1)) return x[0];
  if (is("Neg", 1)) return -x[0];
  if (is("Abs", 1)) return abs(x[0]);
  if (is("Exp", 1)) return exp(x[0]);
  if (is("Log", 1)) return log(x[0]);
  if (is("Sqrt", 1)) return sqrt(x[0]);
  if (is("Tanh", 1)) return tanh(x[0]);
  if (is("Floor", 1)) return floor(x[0]);
  if (is("Relu", 1)) return max(x[0], zero);
  if (is("Sigmoid", 1)) return one / (one + exp(-x[0]));
  if (is("Not", 1)) return one - x[0];
  if (is("Add", 2)) return x[0] + x[1];
  if (is("Sub", 2)) return x[0] - x[1];
  if (is("Mul", 2) || is("And", 2)) return x[0] * x[1];
  if (is("Div", 2)) return x[0] / x[1];
  if (is("Min", 2)) return min(x[0], x[1]);
  if (is("Max", 2) || is("Or", 2)) return max(x[0], x[1]);
  if (is("Less", 2)) return holds(x[0] < x[1]);
  if (is("LessOrEqual", 2)) return holds(x[0] <= x[1]);
  if (is("Greater", 2)) return holds(x[0] > x[1]);
  if (is("GreaterOrEqual", 2)) return holds(x[0] >= x[1]);
  if (is("Equal", 2)) return holds(x[0] == x[1]);
  if (is("Where", 3)) return where(x[0] != zero, x[1], x[2]);
  throw Error("{} of {} inputs is no operator of elements that is known here", name, x.size());
}

Shape broadcast(const Shape& a, const Shape& b) {
  Shape result;
  for (int i = std::max(a.rank(), b.rank()); i >= 1; --i) {
    const std::int64_t m = i > a.rank() ? 1 : a[-i], n = i > b.rank() ? 1 : b[-i];
    if (m != n && m != 1 && n != 1) throw Error("shapes {} and {} do not broadcast", a, b);
    result.append(m == 1 ? n : m);
  }
  return result;
}

/// The element of `array` that stands at element `index` of a larger shape.
double element_at(const Array& array, const Shape& shape, std::int64_t index) {
  std::int64_t at = 0, stride = 1;
  for (int i = 1; i <= array.shape.rank(); ++i) {
    const std::int64_t extent = array.shape[-i];
    at += extent == 1 ? 0 : index % shape[-i] * stride;
    index /= shape[-i];
    stride *= extent;
  }
  return array.elements[static_cast<std::size_t>(at)];
}

Array apply_to_arrays(const std::string& name, const std::vector<Array>& inputs) {
  Array result;
  for (const Array& input : inputs) result.shape = broadcast(result.shape, input.shape);
  for (std::int64_t i = 0; i < result.shape.elements(); ++i) {
    std::vector<double> x;
    for (const Array& input : inputs) x.push_back(element_at(input, result.shape, i));
    result.elements.push_back(element_of(name, x));
  }
  return result;
}

Array list(const std::vector<double>& elements) { return {{static_cast<std::int64_t>(elements.size())}, elements}; }

/// Operators on shapes and indices.
std::optional<Array> arrange(const Node& node, const std::vector<Array>& x) {
  if (node.operation == "Constant") return to_array(node.attributes.at("value").tensor);
  if (node.operation == "Range") {
    std::vector<double> elements;
    const double begin = x.at(0).elements.at(0), end = x.at(1).elements.at(0), step = x.at(2).elements.at(0);
    for (double i = begin; step > 0.0 ? i < end : i > end; i += step) elements.push_back(i);
    return list(elements);
  }
  if (node.operation == "Gather" && x.at(0).shape.rank() == 1) {
    Array result{x.at(1).shape, {}};
    for (double index : x.at(1).elements) {
      if (index < 0.0) index += static_cast<double>(x.at(0).elements.size());
      result.elements.push_back(x.at(0).elements.at(static_cast<std::size_t>(index)));
    }
    return result;
  }
  if (node.operation == "Reshape") {
    std::int64_t known = 1;
    for (const double extent : x.at(1).elements) known *= extent > 0.0 ? static_cast<std::int64_t>(extent) : 1;
    Array result{{}, x.at(0).elements};
    for (const double extent : x.at(1).elements)
      result.shape.append(extent < 0.0 ? x.at(0).shape.elements() / known : static_cast<std::int64_t>(extent));
    return result;
  }
  if (node.operation == "Unsqueeze") {
    const auto rank = static_cast<double>(x.at(0).shape.rank()) + static_cast<double>(x.at(1).elements.size());
    Array result{{}, x.at(0).elements};
    int taken = 0;
    for (double i = 0.0; i < rank; ++i) {
      const bool is_new =
          std::ranges::any_of(x.at(1).elements, [&](double axis) { return i == (axis < 0.0 ? axis + rank : axis); });
      result.shape.append(is_new ? 1 : x.at(0).shape[taken++]);
    }
    return result;
  }
  return std::nullopt;
}

/// Known elements, or a number that is not known yet.
using Value = std::variant<Array, Number>;

/// A known value as part of a formula: looked up by the place's coordinates, where it does not broadcast.
Number number_of(const Value& value, const Place& at) {
  if (const Number* number = std::get_if<Number>(&value)) return *number;
  const Array& array = std::get<Array>(value);
  if (array.elements.size() == 1) return array.elements[0];
  Tensor table({1});
  Shape shape;
  for (int i = array.shape.rank(); i < 4; ++i) shape.append(1);
  for (int i = 0; i < array.shape.rank(); ++i) shape.append(array.shape[i]);
  table = Tensor(shape);
  std::ranges::transform(array.elements, table.floats(), [](double x) { return static_cast<float>(x); });
  const auto index = [&](int dimension, const Number& position) {
    return shape[dimension] == 1 ? Number(0) : position;
  };
  return Table(table)(index(0, at.batch), index(1, at.head), index(2, at.query), index(3, at.key));
}

Value run(const Graph& graph, const Value& input, const Shape& shape, const Place& at) {
  std::map<std::string, Value> values;
  for (const auto& [name, constant] : graph.constants) values.emplace(name, to_array(constant));
  values.emplace(graph.inputs.at(0), input);
  for (const Node& node : graph.nodes) {
    std::vector<Value> inputs;
    bool known = true;
    for (const std::string& name : node.inputs) {
      inputs.push_back(values.at(name));
      known = known && std::holds_alternative<Array>(inputs.back());
    }
    Value result = Array{};
    if (node.operation == "Shape") {
      const Array* array = std::get_if<Array>(&inputs.at(0));
      const Shape& of = array ? array->shape : shape;
      std::vector<double> extents;
      for (int i = 0; i < of.rank(); ++i) extents.push_back(static_cast<double>(of[i]));
      result = list(extents);
    } else if (known) {
      std::vector<Array> arrays;
      for (const Value& value : inputs) arrays.push_back(std::get<Array>(value));
      const std::optional<Array> arranged = arrange(node, arrays);
      result = arranged ? *arranged : apply_to_arrays(node.operation, arrays);
    } else {
      std::vector<Number> numbers;
      for (const Value& value : inputs) numbers.push_back(number_of(value, at));
      result = element_of(node.operation, numbers);
    }
    values.insert_or_assign(node.outputs.at(0), result);
  }
  return values.at(graph.outputs.at(0));
}

}  // namespace

Array to_array(const Tensor& tensor) {
  const Tensor floats = tensor.dtype() == DType::float64 ? tensor : to_float32(tensor);
  Array result{tensor.shape(), {}};
  for (std::int64_t i = 0; i < tensor.elements(); ++i)
    result.elements.push_back(tensor.dtype() == DType::float64 ? floats.as<double>()[i]
                                                               : static_cast<double>(floats.floats()[i]));
  return result;
}

Array evaluate(const Graph& graph, const Array& input) {
  return std::get<Array>(run(graph, input, input.shape, detail::place_terms()));
}

ScoreRule rule_of(const Graph& graph, const Shape& scores) {
  const Place at = detail::place_terms();
  const Value result = run(graph, detail::score_term(), scores, at);
  return ScoreRule("graph", number_of(result, at));
}

}  // namespace heed::onnx
