// Pooling in plain loops on dense images: what tests compare with.
#pragma once
#include <cmath>
#include <cstdint>
#include <limits>

namespace dl::reference {

struct PoolShape {
  int64_t n, ih, iw, oh, ow, c;
  int64_t kh = 1, kw = 1, sh = 1, sw = 1;
  int64_t top = 0, bottom = 0, left = 0, right = 0;
  int64_t dh = 1, dw = 1;
};

/// Calls body(n, oy, ox, c) for every output.
template <class Body>
void each_output(const PoolShape& s, Body&& body) {
  for (int64_t n = 0; n < s.n; n++)
    for (int64_t oy = 0; oy < s.oh; oy++)
      for (int64_t ox = 0; ox < s.ow; ox++)
        for (int64_t c = 0; c < s.c; c++) body(n, oy, ox, c);
}

/// index: number of the tap in the window, ky · kw + kx.
template <class T>
void max_pool2d(const PoolShape& s, const T* x, T* y, int32_t* index) {
  each_output(s, [&](int64_t n, int64_t oy, int64_t ox, int64_t c) {
    T best = -std::numeric_limits<T>::infinity();
    int64_t where = 0;
    for (int64_t k = 0; k < s.kh * s.kw; k++) {
      const int64_t iy = oy * s.sh - s.top + k / s.kw * s.dh, ix = ox * s.sw - s.left + k % s.kw * s.dw;
      if (iy < 0 || iy >= s.ih || ix < 0 || ix >= s.iw) continue;
      const T value = x[((n * s.ih + iy) * s.iw + ix) * s.c + c];
      if (value > best || std::isnan(value)) best = value, where = k;
    }
    const int64_t to = ((n * s.oh + oy) * s.ow + ox) * s.c + c;
    y[to] = best;
    index[to] = static_cast<int32_t>(where);
  });
}

/// The divisor counts padding when `count_include_pad`, up to the padded end of the image.
template <class T>
void avg_pool2d(const PoolShape& s, bool count_include_pad, const T* x, T* y) {
  each_output(s, [&](int64_t n, int64_t oy, int64_t ox, int64_t c) {
    T sum = 0;
    int64_t inside = 0, padded = 0;
    for (int64_t k = 0; k < s.kh * s.kw; k++) {
      const int64_t iy = oy * s.sh - s.top + k / s.kw, ix = ox * s.sw - s.left + k % s.kw;
      if (iy < s.ih + s.bottom && ix < s.iw + s.right) padded++;
      if (iy < 0 || iy >= s.ih || ix < 0 || ix >= s.iw) continue;
      inside++;
      sum += x[((n * s.ih + iy) * s.iw + ix) * s.c + c];
    }
    y[((n * s.oh + oy) * s.ow + ox) * s.c + c] = sum / static_cast<T>(count_include_pad ? padded : inside);
  });
}

/// Bins floor(o · in / out) up to ceil((o + 1) · in / out). index: position iy · iw + ix of the maximum.
template <class T>
void adaptive_pool2d(const PoolShape& s, const T* x, T* average, T* maximum, int32_t* index) {
  auto first = [](int64_t o, int64_t in, int64_t out) { return o * in / out; };
  auto last = [](int64_t o, int64_t in, int64_t out) { return ((o + 1) * in + out - 1) / out; };
  each_output(s, [&](int64_t n, int64_t oy, int64_t ox, int64_t c) {
    T sum = 0, best = -std::numeric_limits<T>::infinity();
    int64_t where = 0, count = 0;
    for (int64_t iy = first(oy, s.ih, s.oh); iy < last(oy, s.ih, s.oh); iy++)
      for (int64_t ix = first(ox, s.iw, s.ow); ix < last(ox, s.iw, s.ow); ix++) {
        const T value = x[((n * s.ih + iy) * s.iw + ix) * s.c + c];
        sum += value;
        count++;
        if (value > best || std::isnan(value)) best = value, where = iy * s.iw + ix;
      }
    const int64_t to = ((n * s.oh + oy) * s.ow + ox) * s.c + c;
    average[to] = sum / static_cast<T>(count);
    maximum[to] = best;
    index[to] = static_cast<int32_t>(where);
  });
}

}  // namespace dl::reference
