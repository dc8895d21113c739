// Convolution and its gradients as plain loops, kept for ever: what tests compare with, in float or double.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

namespace dl::reference {

/// x [n, ih, iw, ic], w [kh, kw, ic / groups, oc], y [n, oh, ow, oc], all dense.
struct ConvShape {
  int64_t n = 1, ih = 1, iw = 1, ic = 1, oc = 1, kh = 1, kw = 1;
  int64_t sh = 1, sw = 1, top = 0, bottom = 0, left = 0, right = 0, dh = 1, dw = 1, groups = 1;

  int64_t oh() const { return (ih + top + bottom - (dh * (kh - 1) + 1)) / sh + 1; }
  int64_t ow() const { return (iw + left + right - (dw * (kw - 1) + 1)) / sw + 1; }
};

/// Calls body(x index, w index, y index) for each product of the convolution.
template <class Body>
void for_each_product(const ConvShape& s, Body body) {
  const int64_t icg = s.ic / s.groups, ocg = s.oc / s.groups;
  for (int64_t n = 0; n < s.n; n++)
    for (int64_t oh = 0; oh < s.oh(); oh++)
      for (int64_t ow = 0; ow < s.ow(); ow++)
        for (int64_t kh = 0; kh < s.kh; kh++)
          for (int64_t kw = 0; kw < s.kw; kw++) {
            const int64_t ih = oh * s.sh + kh * s.dh - s.top, iw = ow * s.sw + kw * s.dw - s.left;
            if (ih < 0 || iw < 0 || ih >= s.ih || iw >= s.iw) continue;
            for (int64_t g = 0; g < s.groups; g++)
              for (int64_t i = 0; i < icg; i++)
                for (int64_t o = g * ocg; o < (g + 1) * ocg; o++)
                  body(((n * s.ih + ih) * s.iw + iw) * s.ic + g * icg + i,
                       ((kh * s.kw + kw) * icg + i) * s.oc + o, ((n * s.oh() + oh) * s.ow() + ow) * s.oc + o);
          }
}

template <class T>
std::vector<T> conv2d(const ConvShape& s, const std::vector<T>& x, const std::vector<T>& w) {
  std::vector<T> y(static_cast<std::size_t>(s.n * s.oh() * s.ow() * s.oc));
  for_each_product(s, [&](int64_t ix, int64_t iw, int64_t iy) {
    y[static_cast<std::size_t>(iy)] += x[static_cast<std::size_t>(ix)] * w[static_cast<std::size_t>(iw)];
  });
  return y;
}

template <class T>
std::vector<T> conv2d_grad_input(const ConvShape& s, const std::vector<T>& dy, const std::vector<T>& w) {
  std::vector<T> dx(static_cast<std::size_t>(s.n * s.ih * s.iw * s.ic));
  for_each_product(s, [&](int64_t ix, int64_t iw, int64_t iy) {
    dx[static_cast<std::size_t>(ix)] += dy[static_cast<std::size_t>(iy)] * w[static_cast<std::size_t>(iw)];
  });
  return dx;
}

template <class T>
std::vector<T> conv2d_grad_weight(const ConvShape& s, const std::vector<T>& x, const std::vector<T>& dy) {
  std::vector<T> dw(static_cast<std::size_t>(s.kh * s.kw * s.ic / s.groups * s.oc));
  for_each_product(s, [&](int64_t ix, int64_t iw, int64_t iy) {
    dw[static_cast<std::size_t>(iw)] += x[static_cast<std::size_t>(ix)] * dy[static_cast<std::size_t>(iy)];
  });
  return dw;
}

}  // namespace dl::reference
