// Double as a V of functions.h: what tests compare the vectors with.
#pragma once
#include <cmath>

namespace dl {

struct Real {
  double v = 0;
  Real() = default;
  Real(double x) : v(x) {}
};

inline Real operator+(Real a, Real b) {
  return a.v + b.v;
}
inline Real operator-(Real a, Real b) {
  return a.v - b.v;
}
inline Real operator*(Real a, Real b) {
  return a.v * b.v;
}
inline Real operator/(Real a, Real b) {
  return a.v / b.v;
}
inline Real operator-(Real a) {
  return -a.v;
}
inline bool operator<(Real a, Real b) {
  return a.v < b.v;
}
inline bool operator<=(Real a, Real b) {
  return a.v <= b.v;
}
inline bool operator>(Real a, Real b) {
  return a.v > b.v;
}
inline bool operator>=(Real a, Real b) {
  return a.v >= b.v;
}
inline Real max(Real a, Real b) {
  return a.v > b.v ? a : b;
}
inline Real min(Real a, Real b) {
  return a.v < b.v ? a : b;
}
inline Real select(bool mask, Real a, Real b) {
  return mask ? a : b;
}
inline Real abs(Real x) {
  return std::fabs(x.v);
}
inline Real sqrt(Real x) {
  return std::sqrt(x.v);
}
inline Real exp(Real x) {
  return std::exp(x.v);
}
inline Real log(Real x) {
  return std::log(x.v);
}
inline Real tanh(Real x) {
  return std::tanh(x.v);
}
inline Real erf(Real x) {
  return std::erf(x.v);
}
inline Real sigmoid(Real x) {
  return 1 / (1 + std::exp(-x.v));
}

}  // namespace dl
