// Plain loops of norm.h, group norm and layer norm on dense arrays; T is float or double.
#pragma once
#include <cmath>
#include <cstdint>
#include <vector>

namespace dl::reference {

/// x[rows][c] → mean[c], variance[c] (biased)
template <class T>
void moments(const std::vector<T>& x, int64_t c, std::vector<T>& mean, std::vector<T>& variance) {
  const auto rows = static_cast<int64_t>(x.size()) / c;
  mean.assign(static_cast<size_t>(c), 0);
  variance.assign(static_cast<size_t>(c), 0);
  for (int64_t i = 0; i < c; i++) {
    T &m = mean[static_cast<size_t>(i)], &v = variance[static_cast<size_t>(i)];
    for (int64_t r = 0; r < rows; r++) m += x[static_cast<size_t>(r * c + i)];
    m /= static_cast<T>(rows);
    for (int64_t r = 0; r < rows; r++) {
      T d = x[static_cast<size_t>(r * c + i)] - m;
      v += d * d;
    }
    v /= static_cast<T>(rows);
  }
}

/// The set of elements that share a mean: for element e of a dense tensor, group(e).
/// y = (x - mean)·rstd·gamma[parameter(e)] + beta[parameter(e)] over groups of equal size.
template <class T, class Group, class Parameter>
std::vector<T> normalize(const std::vector<T>& x, int64_t groups, Group group, Parameter parameter, T epsilon,
                         const std::vector<T>& gamma, const std::vector<T>& beta,
                         std::vector<T>* means = nullptr, std::vector<T>* rstds = nullptr) {
  std::vector<T> mean(static_cast<size_t>(groups), 0), variance(mean), y(x.size());
  const T size = static_cast<T>(x.size()) / static_cast<T>(groups);
  for (size_t e = 0; e < x.size(); e++)
    mean[static_cast<size_t>(group(static_cast<int64_t>(e)))] += x[e] / size;
  for (size_t e = 0; e < x.size(); e++) {
    auto g = static_cast<size_t>(group(static_cast<int64_t>(e)));
    variance[g] += (x[e] - mean[g]) * (x[e] - mean[g]) / size;
  }
  for (T& v : variance) v = 1 / std::sqrt(v + epsilon);
  for (size_t e = 0; e < x.size(); e++) {
    auto g = static_cast<size_t>(group(static_cast<int64_t>(e)));
    auto p = static_cast<size_t>(parameter(static_cast<int64_t>(e)));
    y[e] = (x[e] - mean[g]) * variance[g];
    if (!gamma.empty()) y[e] = y[e] * gamma[p] + beta[p];
  }
  if (means) *means = mean;
  if (rstds) *rstds = variance;
  return y;
}

}  // namespace dl::reference
