// The elementary functions against the C library in double, over floats of all sizes.
#include <cmath>
#include <cstring>
#include <limits>

#include "kernels/kernels.h"
#include "tests/harness.h"

namespace dl::test {
namespace {

/// A step through the 2^32 bit patterns of floats; prime, so that all exponents and fractions come up. 1
/// tests all.
constexpr uint64_t kStep = 4099;

/// The distance in units of the last place of the float nearest to `exact`, not finer than subnormals allow.
double error_in_ulps(float got, double exact) {
  if (std::isnan(exact)) return std::isnan(got) ? 0 : 1e9;
  float nearest = static_cast<float>(exact);
  if (got == nearest) return 0;
  if (std::isinf(nearest) || std::isinf(got) || std::isnan(got)) {
    // Next to overflow either side is right when the exact value is within an ulp of the limit.
    return std::abs(exact) > 3.4028234e38 && std::abs(exact) < 3.4028239e38 && !std::isnan(got) ? 0 : 1e9;
  }
  int exponent = std::ilogb(exact == 0 ? 1e-45 : exact);
  double ulp = std::ldexp(1.0, std::max(exponent, -126) - 23);
  return std::abs(static_cast<double>(got) - exact) / ulp;
}

void check_function(const char* name, MathKernels::Function MathKernels::*function, double (*exact)(double),
                    double limit, bool (*in_domain)(float)) {
  for_each_isa([&](Isa isa) {
    std::vector<float> x, y;
    for (uint64_t i = 0; i < (uint64_t{1} << 32); i += kStep) {
      uint32_t pattern = static_cast<uint32_t>(i);
      float value;
      std::memcpy(&value, &pattern, 4);
      if (in_domain(value)) x.push_back(value);
    }
    constexpr float infinity = std::numeric_limits<float>::infinity();
    for (float special : {0.0f, -0.0f, 1.0f, -1.0f, infinity, -infinity, std::nanf(""), 88.72284f, -103.97f,
                          -87.34f, 1e-45f, 1.17549435e-38f, 3.4028235e38f})
      if (in_domain(special)) x.push_back(special);
    y.resize(x.size());
    (kernels_of(isa).math.*function)(x.data(), y.data(), static_cast<int64_t>(x.size()));
    double worst = 0;
    float at = 0;
    for (size_t i = 0; i < x.size(); i++) {
      double error = error_in_ulps(y[i], exact(static_cast<double>(x[i])));
      if (error > worst) worst = error, at = x[i];
    }
    // Without fused multiply-add every step rounds twice.
    double allowed = isa == Isa::scalar ? limit + 0.3 : limit;
    if (!(worst <= allowed)) fail(__FILE__, __LINE__, text(name, "(", at, "): off by ", worst, " ulp"));
  });
}

bool anywhere(float) {
  return true;
}

TEST(math_exp) {
  check_function("exp", &MathKernels::exp, std::exp, 1.0, anywhere);
}
TEST(math_log) {
  check_function("log", &MathKernels::log, std::log, 0.9, anywhere);
}
TEST(math_tanh) {
  check_function("tanh", &MathKernels::tanh, std::tanh, 1.4, anywhere);
}
TEST(math_erf) {
  check_function("erf", &MathKernels::erf, std::erf, 1.2, anywhere);
}
TEST(math_sigmoid) {
  auto exact = [](double x) { return x >= 0 ? 1 / (1 + std::exp(-x)) : std::exp(x) / (1 + std::exp(x)); };
  check_function("sigmoid", &MathKernels::sigmoid, exact, 2.4, anywhere);
}
TEST(math_log1p) {
  check_function("log1p", &MathKernels::log1p, std::log1p, 1.2,
                 [](float x) { return (x >= 0 && x <= 1) || std::isnan(x); });
}

}  // namespace
}  // namespace dl::test
