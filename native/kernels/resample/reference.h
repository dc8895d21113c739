// Resizing in plain loops on dense images: what tests compare with.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>

namespace dl::reference {

struct ResizeShape {
  int64_t n, ih, iw, oh, ow, c;
};

/// The source position of output `o`, and how far the triangle reaches to either side.
struct Source {
  double center;
  double reach;
};

inline Source source_of(int64_t o, int64_t in, int64_t out, bool align_corners, bool antialias) {
  const auto position = static_cast<double>(o);
  double scale = static_cast<double>(in) / static_cast<double>(out);
  if (align_corners) scale = out > 1 ? static_cast<double>(in - 1) / static_cast<double>(out - 1) : 0;
  if (antialias) return {scale * (position + 0.5) - 0.5, std::max(scale, 1.0)};
  return {align_corners ? scale * position : std::max(0.0, scale * (position + 0.5) - 0.5), 1};
}

/// y = Σ triangle weights · x / Σ triangle weights, over the pixels that exist. Without antialiasing what
/// would lie beyond the last pixel is the last pixel, which the division gives as well.
template <class T>
void resize_bilinear(const ResizeShape& s, bool align_corners, bool antialias, const T* x, T* y) {
  for (int64_t n = 0; n < s.n; n++)
    for (int64_t oy = 0; oy < s.oh; oy++)
      for (int64_t ox = 0; ox < s.ow; ox++) {
        const Source v = source_of(oy, s.ih, s.oh, align_corners, antialias);
        const Source h = source_of(ox, s.iw, s.ow, align_corners, antialias);
        for (int64_t c = 0; c < s.c; c++) {
          double sum = 0, total = 0;
          for (int64_t iy = 0; iy < s.ih; iy++)
            for (int64_t ix = 0; ix < s.iw; ix++) {
              const double wy = std::max(0.0, 1 - std::abs(static_cast<double>(iy) - v.center) / v.reach);
              const double wx = std::max(0.0, 1 - std::abs(static_cast<double>(ix) - h.center) / h.reach);
              sum += wy * wx * static_cast<double>(x[((n * s.ih + iy) * s.iw + ix) * s.c + c]);
              total += wy * wx;
            }
          y[((n * s.oh + oy) * s.ow + ox) * s.c + c] = static_cast<T>(sum / total);
        }
      }
}

}  // namespace dl::reference
