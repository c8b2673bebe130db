// The ONNX standard's own cases of the operators that heed has, each a test of its own name.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "conformance/onnx_case.h"
#include "conformance/onnx_modifier.h"
#include "conformance/onnx_operators.h"
#include "support/instruction_sets.h"
#include "support/tolerance.h"

namespace heed::onnx {

namespace {

/// Cases whose first node is an operator of heed's, or whose model cannot be read (the test then says why). Models that
/// write an operator out in simpler ones ("…_expanded") are not asked for.
std::vector<std::string> cases() {
  std::vector<std::string> names;
  const auto folder = folder_of_cases();
  if (!folder) return names;
  for (const auto& entry : std::filesystem::directory_iterator(*folder)) {
    const std::string name = entry.path().filename().string();
    if (name.find("_expanded") != std::string::npos || !std::filesystem::exists(entry.path() / "model.onnx")) continue;
    try {
      if (!operator_named(read_model(entry.path() / "model.onnx").nodes[0].operation)) continue;
    } catch (const Error&) {
    }
    names.push_back(name);
  }
  std::ranges::sort(names);
  return names;
}

/// heed computes in float32 (with bfloat16 products for bfloat16); the cases' makers in the type of the inputs, each
/// operation rounded. So the error allowed is some roundings of that type (of float32 for wider ones) relative to the
/// largest element of the result, or to 1, what scores and weights are made of.
void expect_values(const Tensor& actual, const Tensor& expected, const std::string& name) {
  ASSERT_EQ(actual.shape(), expected.shape()) << name;
  const Array a = to_array(actual), e = to_array(expected);
  double size = 1.0;
  for (const double x : e.elements)
    if (std::isfinite(x)) size = std::max(size, std::fabs(x));
  const bool is_half = expected.dtype() == DType::float16 || expected.dtype() == DType::bfloat16;
  const double roundings = is_half ? 8.0 : 32.0;
  const double allowed = roundings * size * test::unit_roundoff(is_half ? expected.dtype() : DType::float32);
  for (std::size_t i = 0; i < e.elements.size(); ++i) {
    if (std::isnan(e.elements[i]) && std::isnan(a.elements[i])) continue;
    if (e.elements[i] == a.elements[i]) continue;
    ASSERT_LE(std::fabs(a.elements[i] - e.elements[i]), allowed)
        << name << " of shape " << expected.shape().text() << " at element " << i << ": " << a.elements[i]
        << " instead of " << e.elements[i];
  }
}

class Onnx : public ::testing::TestWithParam<std::string> {};

TEST_P(Onnx, CaseGivesWhatTheStandardSays) {
  const std::filesystem::path folder = *folder_of_cases() / GetParam();
  const Graph graph = read_model(folder / "model.onnx");
  ThreadPool pool(2);
  for (const DataSet& data : read_data(folder, graph))
    test::on_every_instruction_set([&] {
      SCOPED_TRACE(data.name);
      const Values values = run(graph, data.inputs, pool);
      for (const auto& [name, expected] : data.outputs) expect_values(values.at(name), expected, name);
    });
}

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(Onnx);
INSTANTIATE_TEST_SUITE_P(Conformance, Onnx, ::testing::ValuesIn(cases()), [](const auto& test) {
  std::string name = test.param;
  std::ranges::replace_if(
      name, [](char c) { return !std::isalnum(static_cast<unsigned char>(c)); }, '_');
  return name;
});

TEST(OnnxCases, AreThere) {
  if (!folder_of_cases())
    GTEST_SKIP() << "the conformance cases of ONNX are not here; set HEED_CONFORMANCE to the folder that holds them";
  EXPECT_FALSE(cases().empty()) << *folder_of_cases() << " holds no case of an operator that heed has";
}

}  // namespace

}  // namespace heed::onnx
