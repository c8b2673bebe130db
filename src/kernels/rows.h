#pragma once
#include <heed/tensor.h>
#include <heed/thread_pool.h>

namespace heed::kernels {

// Operators that work row by row or element by element. Inputs and gradients are float32 unless said; results marked
// "(f32|bf16)" take either type. `accumulate` adds to what the target holds. A null `data` in a gradient's view means
// that nobody asked for it. Sums over rows are made over fixed pieces of rows, added in a fixed order, so the bits are
// the same for any number of threads.

/// y = gain · (x − mean) / sqrt(variance + epsilon) + bias. Ba et al. 2016 (arXiv:1607.06450).
/// mean, inverse_deviation: [rows], kept for the backward. bias may be null. y (f32|bf16).
void layer_norm(View x, const float* gain, const float* bias, float epsilon, View y, float* mean,
                float* inverse_deviation, ThreadPool& pool);
struct NormGradients {
  View x;  ///< [rows, width] or null
  bool accumulate_x = false;
  float* gain = nullptr;  ///< [width] or null
  bool accumulate_gain = false;
  float* bias = nullptr;  ///< [width] or null
  bool accumulate_bias = false;
};
void layer_norm_backward(View x, const float* gain, const float* mean, const float* inverse_deviation, View dy,
                         const NormGradients& to, ThreadPool& pool);

/// y = gain · x / sqrt(mean(x²) + epsilon). Zhang & Sennrich 2019 (arXiv:1910.07467). y (f32|bf16).
void rms_norm(View x, const float* gain, float epsilon, View y, float* inverse_rms, ThreadPool& pool);
void rms_norm_backward(View x, const float* gain, const float* inverse_rms, View dy, const NormGradients& to,
                       ThreadPool& pool);

enum class Activation : std::uint8_t { relu, gelu, gelu_tanh, silu, tanh, sigmoid };
/// y = f(x); x (f32|bf16), y (f32|bf16). gelu is the exact one (erf), gelu_tanh its approximation (Hendrycks & Gimpel
/// 2016).
void activate(Activation kind, View x, View y, ThreadPool& pool);
/// dx = dy · f'(x); x (f32|bf16), dy and dx (f32|bf16, dx as bf16 only without accumulate).
void activate_backward(Activation kind, View x, View dy, View dx, bool accumulate, ThreadPool& pool);
/// Gated unit (Shazeer 2020, arXiv:2002.05202): y = f(gate) · up, where x = [gate | up] has twice y's width.
void gate(Activation kind, View x, View y, ThreadPool& pool);
void gate_backward(Activation kind, View x, View dy, View dx, bool accumulate, ThreadPool& pool);

/// y = a·x + b·y elementwise (b = 0 never reads y); x (f32|bf16), y float32.
void add_scaled(View x, float a, View y, float b, ThreadPool& pool);
/// z = x + y; all float32.
void add(View x, View y, View z, ThreadPool& pool);
/// Copies with conversion between float32, bfloat16 and float16; strides may differ.
void convert(View from, View to, ThreadPool& pool);
/// sum[j] (+)= Σ_rows x[i, j]; x (f32|bf16).
void sum_rows(View x, float* sum, bool accumulate, ThreadPool& pool);

/// Inverted dropout: y = x · kept / (1 − rate), kept drawn from (key, element index) with hash32 (heed/random.h), so
/// forward and backward need no mask. The index counts the elements of x row by row, whatever the strides. y += when
/// accumulate; y may be x.
void dropout(View x, float rate, std::uint64_t key, View y, bool accumulate, ThreadPool& pool);

/// y[i] = scale · table[ids[i]]; table (f32|bf16|f16), y float32. Ids are checked by the caller.
void gather(View table, const std::int32_t* ids, std::int64_t count, float scale, View y, ThreadPool& pool);
/// table[ids[i]] += scale · dy[i]: threads share out columns, so equal ids add in the order of i.
void scatter_add(View dy, const std::int32_t* ids, std::int64_t count, float scale, View table, ThreadPool& pool);

/// Rotary position embedding (Su et al. 2021, arXiv:2104.09864) on rows of heads·head_width: each head's first
/// `rotated` (even, ≤ head_width) elements turn by positions[row] · base^(−2i/rotated). Pairs are (i, i + rotated/2),
/// or neighbours (2i, 2i+1) when `interleaved`. `direction` −1 turns back (the backward). In place when y is x.
struct Rotary {
  int heads = 1;
  int head_width = 0;
  int rotated = 0;
  float base = 10000.0f;
  bool interleaved = false;
  float direction = 1.0f;
};
void rotate(View x, const std::int32_t* positions, const Rotary& rotary, View y, ThreadPool& pool);
/// The same by angles of one's own (scaled wavelengths, for instance): pair i turns by the angle whose cosine and sine
/// stand at [positions[row], i]; both [positions, rotated/2], float32. The base is not used.
void rotate_by(View x, const std::int32_t* positions, View cosines, View sines, const Rotary& rotary, View y,
               ThreadPool& pool);

/// Softmax cross-entropy with label smoothing over rows of logits, turned in place into the gradient of the summed
/// loss: target distribution (1 − smoothing)·onehot + smoothing/width (Szegedy et al. 2016, arXiv:1512.00567). loss[i]:
/// of row i with smoothing; negative_log_likelihood[i]: without, for perplexity; correct[i]: 1 when the target is the
/// row's largest logit (the first of equals). A row whose target is `ignored` (−1) gives zeros and a zero gradient.
/// logits float32; when `gradient` is not null it is (f32|bf16) and receives the gradient, else only losses are made.
void softmax_cross_entropy(View logits, const std::int32_t* targets, float smoothing, View gradient, float* loss,
                           float* negative_log_likelihood, float* correct, ThreadPool& pool);
/// In place: each row becomes its softmax (or log-softmax).
void softmax_rows(View x, bool logarithm, ThreadPool& pool);

/// Σ x² in float64, over fixed pieces.
double sum_of_squares(View x, ThreadPool& pool);
/// True when every element is finite.
bool all_finite(View x, ThreadPool& pool);

struct Adam {
  float rate = 1e-3f, epsilon = 1e-8f;
  double beta1 = 0.9, beta2 = 0.999;  ///< in float32, 1 − 0.999 would be wrong by 5e-5, against correction2
  float decay = 0.0f;                 ///< decoupled: weight −= rate·decay·weight (AdamW, Loshchilov & Hutter 2019)
  float coupled_decay = 0.0f;         ///< added to the gradient (Adam with L2)
  float gradient_scale = 1.0f;        ///< multiplies the gradient first (averaging, clipping)
  float correction1 = 1.0f;           ///< 1 − beta1^t
  float correction2 = 1.0f;           ///< 1 − beta2^t
};
/// One step of Adam (Kingma & Ba 2015) on float32 arrays of `count`.
void adam(float* weight, const float* gradient, float* first, float* second, std::int64_t count, const Adam& options,
          ThreadPool& pool);
/// velocity = momentum·velocity + (scale·gradient + decay·weight); weight −= rate·velocity. velocity may be null when
/// momentum is 0.
void sgd(float* weight, const float* gradient, float* velocity, std::int64_t count, float rate, float momentum,
         float decay, float gradient_scale, ThreadPool& pool);

}  // namespace heed::kernels
