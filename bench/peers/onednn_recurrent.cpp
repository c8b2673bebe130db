// Times oneDNN's fused LSTM forward and backward, one JSON line a precision, as heed's own case "lstm_layer" does: 32
// sequences of 100 tokens, 128 wide, weights in the order that training keeps them in, so that they are reordered for
// each direction as a training step must (they change at every step). Not built with heed:
//
//   g++ -O2 -std=c++20 bench/peers/onednn_recurrent.cpp -ldnnl -o onednn_recurrent     (Debian: libdnnl-dev)
//   OMP_NUM_THREADS=2 ./onednn_recurrent > onednn.jsonl && bench/peers/compare.py onednn.jsonl --heed HEED
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <oneapi/dnnl/dnnl.hpp>
#include <vector>

using dnnl::memory;
using Type = memory::data_type;
using Tag = memory::format_tag;

namespace {

constexpr memory::dim tokens = 100, sequences = 32, width = 128, gates = 4;

memory::desc desc(memory::dims dims, Type type, Tag tag) { return {dims, type, tag}; }

memory filled(const memory::desc& md, const dnnl::engine& engine) {
  memory made(md, engine);
  std::fill_n(static_cast<char*>(made.get_data_handle()), md.get_size(), 0);
  return made;
}

void measure(Type type, const char* name) {
  dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  dnnl::stream stream(engine);
  const auto layer = desc({tokens, sequences, width}, type, Tag::tnc);
  const auto state = desc({1, 1, sequences, width}, type, Tag::ldnc);
  const auto cell = desc({1, 1, sequences, width}, Type::f32, Tag::ldnc);
  const auto any_weights = desc({1, 1, width, gates, width}, type, Tag::any);
  const auto kept_weights = desc({1, 1, width, gates, width}, Type::f32, Tag::ldigo);
  const auto bias = desc({1, 1, gates, width}, Type::f32, Tag::ldgo);
  const auto diff_layer = desc({tokens, sequences, width}, Type::f32, Tag::tnc);
  const auto diff_state = desc({1, 1, sequences, width}, Type::f32, Tag::ldnc);
  const auto direction = dnnl::rnn_direction::unidirectional_left2right;
  const dnnl::lstm_forward::primitive_desc forward(
      dnnl::lstm_forward::desc(dnnl::prop_kind::forward_training, direction, layer, state, cell, any_weights,
                               any_weights, bias, layer, state, cell),
      engine);
  const auto any_diff = desc({1, 1, width, gates, width}, Type::f32, Tag::any);
  const dnnl::lstm_backward::primitive_desc backward(
      dnnl::lstm_backward::desc(dnnl::prop_kind::backward, direction, layer, state, cell, any_weights, any_weights,
                                bias, layer, state, cell, diff_layer, diff_state, diff_state, any_diff, any_diff, bias,
                                diff_layer, diff_state, diff_state),
      engine, forward);

  auto x = filled(layer, engine), h = filled(state, engine), c = filled(cell, engine), b = filled(bias, engine);
  auto w = filled(kept_weights, engine), u = filled(kept_weights, engine);
  auto y = filled(layer, engine), h_last = filled(state, engine), c_last = filled(cell, engine);
  auto w_forward = filled(forward.weights_layer_desc(), engine),
       u_forward = filled(forward.weights_iter_desc(), engine);
  auto w_back = filled(backward.weights_layer_desc(), engine), u_back = filled(backward.weights_iter_desc(), engine);
  auto workspace = filled(forward.workspace_desc(), engine);
  auto dx = filled(diff_layer, engine), dh = filled(diff_state, engine), dc = filled(diff_state, engine);
  auto dw = filled(backward.diff_weights_layer_desc(), engine), du = filled(backward.diff_weights_iter_desc(), engine);
  auto db = filled(bias, engine), dy = filled(diff_layer, engine);
  auto dh_last = filled(diff_state, engine), dc_last = filled(diff_state, engine);
  auto dw_kept = filled(kept_weights, engine), du_kept = filled(kept_weights, engine);

  const dnnl::lstm_forward run_forward(forward);
  const dnnl::lstm_backward run_backward(backward);
  const auto step = [&] {
    for (auto [from, to] : {std::pair{&w, &w_forward}, {&u, &u_forward}, {&w, &w_back}, {&u, &u_back}})
      dnnl::reorder(*from, *to).execute(stream, *from, *to);
    run_forward.execute(stream, {{DNNL_ARG_SRC_LAYER, x},
                                 {DNNL_ARG_SRC_ITER, h},
                                 {DNNL_ARG_SRC_ITER_C, c},
                                 {DNNL_ARG_WEIGHTS_LAYER, w_forward},
                                 {DNNL_ARG_WEIGHTS_ITER, u_forward},
                                 {DNNL_ARG_BIAS, b},
                                 {DNNL_ARG_DST_LAYER, y},
                                 {DNNL_ARG_DST_ITER, h_last},
                                 {DNNL_ARG_DST_ITER_C, c_last},
                                 {DNNL_ARG_WORKSPACE, workspace}});
    for (memory* sum : {&dw, &du, &db})  // the backward adds
      std::fill_n(static_cast<char*>(sum->get_data_handle()), sum->get_desc().get_size(), 0);
    run_backward.execute(stream, {{DNNL_ARG_SRC_LAYER, x},
                                  {DNNL_ARG_SRC_ITER, h},
                                  {DNNL_ARG_SRC_ITER_C, c},
                                  {DNNL_ARG_WEIGHTS_LAYER, w_back},
                                  {DNNL_ARG_WEIGHTS_ITER, u_back},
                                  {DNNL_ARG_BIAS, b},
                                  {DNNL_ARG_DST_LAYER, y},
                                  {DNNL_ARG_DST_ITER, h_last},
                                  {DNNL_ARG_DST_ITER_C, c_last},
                                  {DNNL_ARG_WORKSPACE, workspace},
                                  {DNNL_ARG_DIFF_SRC_LAYER, dx},
                                  {DNNL_ARG_DIFF_SRC_ITER, dh},
                                  {DNNL_ARG_DIFF_SRC_ITER_C, dc},
                                  {DNNL_ARG_DIFF_WEIGHTS_LAYER, dw},
                                  {DNNL_ARG_DIFF_WEIGHTS_ITER, du},
                                  {DNNL_ARG_DIFF_BIAS, db},
                                  {DNNL_ARG_DIFF_DST_LAYER, dy},
                                  {DNNL_ARG_DIFF_DST_ITER, dh_last},
                                  {DNNL_ARG_DIFF_DST_ITER_C, dc_last}});
    dnnl::reorder(dw, dw_kept).execute(stream, dw, dw_kept);
    dnnl::reorder(du, du_kept).execute(stream, du, du_kept);
    stream.wait();
  };
  for (int i = 0; i < 5; ++i) step();
  std::vector<double> times;
  for (int i = 0; i < 50; ++i) {
    const auto start = std::chrono::steady_clock::now();
    step();
    times.push_back(std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count());
  }
  std::sort(times.begin(), times.end());
  std::printf("{\"peer\": \"oneDNN\", \"case\": \"lstm_layer\", \"dtype\": \"%s\", \"ms\": %.4f}\n", name,
              times[times.size() / 2]);
}

}  // namespace

int main() {
  measure(Type::f32, "float32");
  try {
    measure(Type::bf16, "bfloat16");
  } catch (const dnnl::error&) {
    std::fprintf(stderr, "this processor has no bfloat16 cells in oneDNN\n");
  }
}
