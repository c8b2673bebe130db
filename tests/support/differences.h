#pragma once
#include <vector>

namespace heed::test {

/// The derivative of f at x by central differences of the fourth order: in double, with f of magnitude 1, good to
/// 1e-11.
template <class Function>
double difference(double x, Function&& f, double step = 1e-3) {
  return (8.0 * (f(x + step) - f(x - step)) - (f(x + 2.0 * step) - f(x - 2.0 * step))) / (12.0 * step);
}

/// The gradient of f, a number, at the vector x.
template <class Function>
std::vector<double> differences(std::vector<double> x, Function&& f, double step = 1e-3) {
  std::vector<double> gradient;
  for (double& element : x) {
    const double middle = element;
    gradient.push_back(difference(
        middle,
        [&](double moved) {
          element = moved;
          return f(x);
        },
        step));
    element = middle;
  }
  return gradient;
}

}  // namespace heed::test
