// Resampling of pictures against plain loops in 64-bit integers, to the byte.
#include <algorithm>
#include <vector>

#include "kernels/kernels.h"
#include "tests/harness.h"

namespace dl::test {
namespace {

constexpr uint8_t kUntouched = 0xA5;

/// Weights as those of a cubic kernel: some negative, their sum near 2^22, so that results pass both limits.
struct Taps {
  std::vector<int32_t> first, count, weights;
  int64_t stride = 5;

  explicit Taps(int64_t length, int64_t neighbours) : weights(static_cast<size_t>(5 * length), 0x7fffffff) {
    for (int64_t i = 0; i < length; i++) {
      const auto n = static_cast<int32_t>(1 + i % stride);
      first.push_back(static_cast<int32_t>(i * (neighbours - n) / length));
      count.push_back(n);
      int32_t left = 1 << 22;
      for (int32_t k = 0; k < n; k++) {
        const int32_t w = k + 1 == n ? left : static_cast<int32_t>((k % 2 ? -1 : 1) * (700001 + 91 * i));
        weights[static_cast<size_t>(i * stride + k)] = w;
        left -= w;
      }
    }
  }
  PictureTaps taps() const {
    return {first.data(), count.data(), weights.data(), stride, static_cast<int64_t>(first.size())};
  }
  /// Result `i` where neighbour `j` is x(j).
  template <class X>
  uint8_t mixed(size_t i, X x) const {
    int64_t sum = 1 << 21;
    for (int32_t k = 0; k < count[i]; k++)
      sum += int64_t{weights[i * static_cast<size_t>(stride) + static_cast<size_t>(k)]} * x(first[i] + k);
    return static_cast<uint8_t>(std::clamp<int64_t>(sum >> 22, 0, 255));
  }
};

std::vector<uint8_t> pixels(int64_t count) {
  const Value noise = random(fixed({count}), 7, 0, 256);
  std::vector<uint8_t> bytes;
  // Black and white beside each other, so that mixes leave the range.
  for (double x : noise.data) bytes.push_back(static_cast<uint8_t>(x < 80 ? 0 : x > 176 ? 255 : x));
  return bytes;
}

TEST(picture_down) {
  constexpr int64_t kRows = 9, kLength = 12;
  const Taps taps(kLength, kRows);
  for_each_isa([&](Isa isa) {
    for (int64_t bytes : {1, 3, 15, 16, 31, 64, 97, 200}) {
      Context context(text(bytes, " bytes"));
      const int64_t line = bytes + 5;
      const std::vector<uint8_t> from = pixels(kRows * line);
      std::vector<uint8_t> to(static_cast<size_t>(kLength * bytes + 8), kUntouched);
      kernels_of(isa).picture.down(taps.taps(), from.data(), line, bytes, to.data());
      for (int64_t y = 0; y < kLength; y++)
        for (int64_t i = 0; i < bytes; i++)
          CHECK_EQ(int{to[static_cast<size_t>(y * bytes + i)]},
                   int{taps.mixed(static_cast<size_t>(y),
                                  [&](int64_t row) { return from[static_cast<size_t>(row * line + i)]; })});
      for (size_t i = to.size() - 8; i < to.size(); i++) CHECK_EQ(int{to[i]}, int{kUntouched});
    }
  });
}

TEST(picture_across) {
  constexpr int64_t kPixels = 23, kRows = 3;
  for_each_isa([&](Isa isa) {
    for (int64_t channels : {1, 3}) {
      for (int64_t length : {1, 4, 30}) {
        Context context(text(channels, " channels, ", length, " pixels"));
        const Taps taps(length, kPixels);
        const int64_t line = kPixels * channels + 2;
        const std::vector<uint8_t> from = pixels(kRows * line);
        std::vector<uint8_t> to(static_cast<size_t>(kRows * length * channels + 8), kUntouched);
        kernels_of(isa).picture.across(taps.taps(), from.data(), line, kRows, channels, to.data());
        for (int64_t y = 0; y < kRows; y++)
          for (int64_t x = 0; x < length; x++)
            for (int64_t c = 0; c < channels; c++)
              CHECK_EQ(int{to[static_cast<size_t>((y * length + x) * channels + c)]},
                       int{taps.mixed(static_cast<size_t>(x), [&](int64_t pixel) {
                         return from[static_cast<size_t>(y * line + pixel * channels + c)];
                       })});
        for (size_t i = to.size() - 8; i < to.size(); i++) CHECK_EQ(int{to[i]}, int{kUntouched});
      }
    }
  });
}

}  // namespace
}  // namespace dl::test
