#include "attention/reference_scores.h"

#include <cmath>

namespace heed::attention::reference {

namespace {

double element(const void* data, DType dtype, std::int64_t index) {
  switch (dtype) {
    case DType::float32:
      return static_cast<const float*>(data)[index];
    case DType::bfloat16:
      return static_cast<float>(static_cast<const bfloat16*>(data)[index]);
    case DType::float16:
      return static_cast<float>(static_cast<const float16*>(data)[index]);
    case DType::int8:
      return static_cast<const std::int8_t*>(data)[index];
    default: {  // int4, −8 to 7
      const int byte = static_cast<const std::uint8_t*>(data)[index / 2];
      const int half = index % 2 == 0 ? byte & 15 : byte >> 4;
      return half < 8 ? half : half - 16;
    }
  }
}

double dot(const Row& a, const Row& b) {
  double sum = 0.0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

}  // namespace

Row read_row(const void* data, DType dtype, std::int64_t row, std::int64_t stride, int head, std::int64_t width,
             double scale) {
  Row result;
  for (std::int64_t i = 0; i < width; ++i)
    result.push_back(scale * element(data, dtype, row * stride + head * width + i));
  return result;
}

double raw_score(const AttentionProblem& problem, int head, const Row& query, const Row& key) {
  switch (problem.spec.score) {
    case Score::scaled_dot:
    case Score::dot:
      return dot(query, key);
    case Score::bilinear: {
      const float* w = problem.bilinear + static_cast<std::size_t>(head) * query.size() * key.size();
      double sum = 0.0;
      for (const double q : query)
        for (const double k : key) sum += q * *w++ * k;
      return sum;
    }
    case Score::cosine: {
      const double norms = std::sqrt(dot(query, query)) * std::sqrt(dot(key, key));
      return norms == 0.0 ? 0.0 : dot(query, key) / norms;
    }
    case Score::euclidean: {
      double sum = 0.0;
      for (std::size_t c = 0; c < query.size(); ++c) sum -= (query[c] - key[c]) * (query[c] - key[c]);
      return sum;
    }
    case Score::additive: {
      const float* v = problem.direction + static_cast<std::size_t>(head) * query.size();
      double sum = 0.0;
      for (std::size_t c = 0; c < query.size(); ++c) sum += v[c] * std::tanh(query[c] + key[c]);
      return sum;
    }
  }
  return 0.0;
}

void add_raw_gradients(const AttentionProblem& problem, int head, const Row& query, const Row& key, double draw,
                       const RawGradients& to) {
  const std::size_t width = query.size();
  switch (problem.spec.score) {
    case Score::scaled_dot:
    case Score::dot:
      for (std::size_t c = 0; c < width; ++c) {
        to.query[c] += draw * key[c];
        to.key[c] += draw * query[c];
      }
      break;
    case Score::bilinear:
      for (std::size_t a = 0; a < width; ++a)
        for (std::size_t b = 0; b < key.size(); ++b) {
          const double w = problem.bilinear[(static_cast<std::size_t>(head) * width + a) * key.size() + b];
          to.query[a] += draw * w * key[b];
          to.key[b] += draw * query[a] * w;
          to.learned[a * key.size() + b] += draw * query[a] * key[b];
        }
      break;
    case Score::cosine: {
      const double query_norm = std::sqrt(dot(query, query)), key_norm = std::sqrt(dot(key, key));
      if (query_norm * key_norm == 0.0) break;
      const double cosine = dot(query, key) / (query_norm * key_norm);
      for (std::size_t c = 0; c < width; ++c) {
        const double q = query[c] / query_norm, k = key[c] / key_norm;
        to.query[c] += draw * (k - cosine * q) / query_norm;
        to.key[c] += draw * (q - cosine * k) / key_norm;
      }
      break;
    }
    case Score::euclidean:
      for (std::size_t c = 0; c < width; ++c) {
        to.query[c] -= draw * 2.0 * (query[c] - key[c]);
        to.key[c] += draw * 2.0 * (query[c] - key[c]);
      }
      break;
    case Score::additive:
      for (std::size_t c = 0; c < width; ++c) {
        const double bent = std::tanh(query[c] + key[c]);
        const double slope = draw * problem.direction[static_cast<std::size_t>(head) * width + c] * (1.0 - bent * bent);
        to.query[c] += slope;
        to.key[c] += slope;
        to.learned[c] += draw * bent;
      }
      break;
  }
}

}  // namespace heed::attention::reference
