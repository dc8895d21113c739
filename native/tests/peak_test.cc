// The triad of the memory yardstick against plain loops: it must read and write all that it is said to.
#include "kernels/kernels.h"
#include "tests/harness.h"

namespace dl::test {
namespace {

TEST(triad) {
  for_each_isa([&](Isa isa) {
    for (int64_t n : {1, 7, 16, 33, 100}) {
      Context context(text("n = ", n));
      const auto size = static_cast<size_t>(n);
      // Whole numbers, so that every rounding is exact; one more element, which must stay.
      std::vector<float> a(size + 1, -1), b(size), c(size);
      for (size_t i = 0; i < size; i++) {
        b[i] = static_cast<float>(i);
        c[i] = static_cast<float>(5 * i + 1);
      }
      kernels_of(isa).peak.triad(a.data(), b.data(), c.data(), n);
      for (size_t i = 0; i < size; i++) CHECK_EQ(a[i], b[i] + 3 * c[i]);
      CHECK_EQ(a[size], -1.0f);
    }
  });
}

}  // namespace
}  // namespace dl::test
