#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "cli/command.h"

namespace heed::testing {
namespace {

using Json = nlohmann::json;

std::vector<Json> lines_of(const Result& result) {
  EXPECT_EQ(result.exit_code, 0) << result.err;
  std::vector<Json> lines;
  std::istringstream text(result.out);
  for (std::string line; std::getline(text, line);) lines.push_back(Json::parse(line));
  return lines;
}

void expect_measures(const Json& line, const std::string& rate) {
  for (const char* figure : {"ms", "limit_share", rate.c_str()}) EXPECT_GT(line.at(figure).get<double>(), 0.0) << line;
  EXPECT_GE(line.at("spread").get<double>(), 0.0) << line;
  EXPECT_EQ(line.at("threads"), 1) << line;
}

TEST(Bench, MeasuresWhatTheMachineCanDo) {
  const Workplace here;
  std::vector<std::string> measured;
  for (const Json& line : lines_of(here.heed("bench limits --quick --json --threads 1"))) {
    const std::string name = line.at("case");
    expect_measures(line, name == "multiply_adds" ? "gflops" : "gigabytes_per_second");
    EXPECT_LE(line.at("limit_share").get<double>(), 1.0) << line;
    measured.push_back(name + " " + line.at("dtype").get<std::string>());
  }
  EXPECT_EQ(measured,
            (std::vector<std::string>{"multiply_adds float32", "multiply_adds bfloat16", "multiply_adds int8",
                                      "read_l1 float32", "read_l2 float32", "read_l3 float32", "read_memory float32"}));
}

TEST(Bench, MeasuresAttentionOfTheLengthsAndTypesAskedFor) {
  const Workplace here;
  const auto lines = lines_of(here.heed(
      "bench forward_causal forward_backward_mask --lengths 32,48 --dtype float32 --quick --json --threads 1"));
  ASSERT_EQ(lines.size(), 4u);
  for (const Json& line : lines) expect_measures(line, "gflops");
  EXPECT_EQ(lines[0].at("case"), "forward_causal");
  EXPECT_EQ(lines[1].at("case"), "forward_backward_mask");
  EXPECT_EQ(lines[1].at("length"), 32);
  EXPECT_EQ(lines[3].at("length"), 48);
  EXPECT_EQ(lines[3].at("dtype"), "float32");
}

TEST(Bench, MeasuresAnyAttentionThatIsWrittenAsASpec) {
  const Workplace here;
  const auto lines =
      lines_of(here.heed("bench --spec 'score=cosine,scale=5,normaliser=entmax15,mask=causal & "
                         "(window(9) | first_keys(2)),heads=2,width=16' --lengths 32 --dtype float32 "
                         "--quick --json --threads 1"));
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[0].at("case"), "forward_spec");
  EXPECT_EQ(lines[1].at("case"), "forward_backward_spec");
  for (const Json& line : lines) expect_measures(line, "gflops");
}

TEST(Bench, NamesWhatIsWrongInASpec) {
  const Workplace here;
  for (const auto& [spec, expected] : std::vector<std::pair<std::string, std::string>>{
           {"score=cosinus", "there is no score 'cosinus'; there are scaled_dot"},
           {"mask=causal &", "mask 'causal &' has '' where a mask is expected"},
           {"mask=window", "mask window needs a number: window(512)"},
           {"breadth=3", "there is no key 'breadth'"},
           {"width=many", "width is 'many'; expected a number"}}) {
    const Result result = here.heed("bench --spec '" + spec + "' --lengths 32 --quick");
    EXPECT_NE(result.exit_code, 0) << spec;
    EXPECT_NE(result.err.find(expected), std::string::npos) << result.err;
  }
}

TEST(Bench, MeasuresATrainingInAProcessOfItsOwn) {
  const Workplace here;
  const auto lines = lines_of(
      here.heed("bench tiny_decoder_4_layers_width_128_batch_12x64 --dtype bfloat16 --quick --json --threads 1"));
  ASSERT_EQ(lines.size(), 1u);
  expect_measures(lines[0], "tokens_per_second");
  EXPECT_GT(lines[0].at("peak_gb").get<double>(), 0.0);
}

TEST(Bench, PrintsTheSameLossesForTheSameSeedAndTheyFall) {
  const Workplace here;
  const std::string arguments =
      "bench tiny_decoder_4_layers_width_128_batch_12x64 --dtype float32 --losses 3 --json --threads ";
  const auto one = lines_of(here.heed(arguments + "1")), two = lines_of(here.heed(arguments + "2"));
  ASSERT_EQ(one.size(), 3u);
  EXPECT_EQ(one, two);
  EXPECT_GT(one[0].at("loss").get<double>(), one[2].at("loss").get<double>());
}

TEST(Bench, PrintsATableForPeople) {
  const Workplace here;
  const Result result = here.heed("bench tiny_down_forward --quick --threads 1");
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_TRUE(result.out.starts_with("case")) << result.out;
  EXPECT_NE(result.out.find("GF/s"), std::string::npos) << result.out;
}

TEST(Bench, NamesTheCasesWhenOneIsUnknown) {
  const Workplace here;
  const Result result = here.heed("bench forward_backwards");
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_NE(result.err.find("there is no case forward_backwards"), std::string::npos) << result.err;
  EXPECT_NE(result.err.find("forward_backward_full"), std::string::npos) << result.err;
}

TEST(Bench, RefusesTokensOfAnotherShape) {
  const Workplace here;
  // An empty int32 array: magic, version, length of the header, header.
  std::string header = "{'descr': '<i4', 'fortran_order': False, 'shape': (0, 4), }";
  header.resize(117, ' ');
  header += '\n';
  here.write("tokens.npy", std::string("\x93NUMPY\x01\x00", 8) + static_cast<char>(header.size()) + '\0' + header);
  const Result result =
      here.heed("bench tiny_decoder_4_layers_width_128_batch_12x64 --dtype float32 --losses 1 --tokens tokens.npy");
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_NE(result.err.find("tokens.npy: the tokens are [0, 4]"), std::string::npos) << result.err;
}

}  // namespace
}  // namespace heed::testing
