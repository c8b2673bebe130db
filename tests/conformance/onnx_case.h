#pragma once
// Cases of the ONNX standard's own tests: a model of one operator (or a few), its inputs and what it must give. Only
// what such cases use of the format is read (onnx.proto, in protobuf's wire format).
#include <heed/tensor.h>

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace heed::onnx {

struct Graph;

struct Attribute {
  float number = 0.0f;
  std::int64_t integer = 0;
  std::string text;
  std::shared_ptr<Graph> graph;
  Tensor tensor;
};

struct Node {
  std::string operation;
  std::vector<std::string> inputs, outputs;  ///< an empty name is an input that is not given, an output nobody wants
  std::map<std::string, Attribute> attributes;

  bool has(const std::string& name) const { return attributes.contains(name); }
  std::int64_t integer(const std::string& name, std::int64_t otherwise) const {
    return has(name) ? attributes.at(name).integer : otherwise;
  }
  float number(const std::string& name, float otherwise) const {
    return has(name) ? attributes.at(name).number : otherwise;
  }
  std::string text(const std::string& name, const std::string& otherwise) const {
    return has(name) ? attributes.at(name).text : otherwise;
  }
};

struct Graph {
  std::vector<Node> nodes;
  std::vector<std::string> inputs, outputs;
  std::map<std::string, Tensor> constants;
};

/// What has a name in a graph as it runs.
using Values = std::map<std::string, Tensor>;

/// One of a case's sets of data.
struct DataSet {
  std::string name;
  Values inputs, outputs;
};

/// Throws Error naming the file and the byte where it is not what it should be.
Graph read_model(const std::filesystem::path& file);
std::vector<DataSet> read_data(const std::filesystem::path& folder, const Graph& graph);

/// The folder that holds a folder for each case: HEED_CONFORMANCE, which may also name the folder above (holding
/// `onnx`), else data/conformance/onnx in HEED_SHARED or in the folder `shared` beside the checkout. Empty when it is
/// not there.
std::optional<std::filesystem::path> folder_of_cases();

}  // namespace heed::onnx
