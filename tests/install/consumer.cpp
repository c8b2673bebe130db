// A program of somebody else's: what it needs from heed is what the public headers promise.
#include <heed/tensor.h>

#include <cstdio>

int main() {
  const heed::Tensor tensor = heed::Tensor::from({1.0f, 2.0f, 3.0f});
  std::puts(tensor.shape().text().c_str());
  return tensor.shape() == heed::Shape{3} ? 0 : 1;
}
