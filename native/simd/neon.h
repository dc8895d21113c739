// The vector type on 64-bit Arm (Advanced SIMD): four lanes. See simd.h for the contract.
#pragma once
#include <arm_neon.h>

namespace dl::DL_ISA_NAMESPACE {

constexpr Isa kIsa = Isa::neon;
constexpr int kLanes = 4;
constexpr int kRegisters = 32;

struct Vec {
  float32x4_t v;
};
struct IVec {
  int32x4_t v;
};
struct Mask {
  uint32x4_t v;
};

DL_INLINE Vec broadcast(float x) {
  return {vdupq_n_f32(x)};
}
DL_INLINE IVec broadcast(int32_t x) {
  return {vdupq_n_s32(x)};
}
DL_INLINE IVec iota() {
  const int32_t lanes[4] = {0, 1, 2, 3};
  return {vld1q_s32(lanes)};
}

DL_INLINE Vec load(const float* p) {
  return {vld1q_f32(p)};
}
DL_INLINE IVec load(const int32_t* p) {
  return {vld1q_s32(p)};
}
DL_INLINE void store(float* p, Vec a) {
  vst1q_f32(p, a.v);
}
DL_INLINE void store(int32_t* p, IVec a) {
  vst1q_s32(p, a.v);
}
DL_INLINE Vec load_n(const float* p, int n) {
  if (n == 4) return load(p);
  float lanes[4] = {};
  for (int i = 0; i < n; i++) lanes[i] = p[i];
  return load(lanes);
}
DL_INLINE IVec load_n(const int32_t* p, int n) {
  int32_t lanes[4] = {};
  for (int i = 0; i < n; i++) lanes[i] = p[i];
  return load(lanes);
}
DL_INLINE void store_n(float* p, Vec a, int n) {
  if (n == 4) return store(p, a);
  float lanes[4];
  store(lanes, a);
  for (int i = 0; i < n; i++) p[i] = lanes[i];
}
DL_INLINE void store_n(int32_t* p, IVec a, int n) {
  int32_t lanes[4];
  store(lanes, a);
  for (int i = 0; i < n; i++) p[i] = lanes[i];
}
DL_INLINE IVec load_u8(const uint8_t* p) {
  uint32_t four;
  std::memcpy(&four, p, 4);
  uint8x8_t bytes = vreinterpret_u8_u32(vdup_n_u32(four));
  return {vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(vmovl_u8(bytes))))};
}
DL_INLINE IVec load_u8_n(const uint8_t* p, int n) {
  uint8_t bytes[4] = {};
  for (int i = 0; i < n; i++) bytes[i] = p[i];
  return load_u8(bytes);
}
DL_INLINE void store_u8_n(uint8_t* p, IVec a, int n) {
  int32_t lanes[4];
  store(lanes, a);
  for (int i = 0; i < n; i++) p[i] = static_cast<uint8_t>(lanes[i]);
}
DL_INLINE void store_u8(uint8_t* p, IVec a) {
  store_u8_n(p, a, 4);
}

DL_INLINE Vec operator+(Vec a, Vec b) {
  return {vaddq_f32(a.v, b.v)};
}
DL_INLINE Vec operator-(Vec a, Vec b) {
  return {vsubq_f32(a.v, b.v)};
}
DL_INLINE Vec operator*(Vec a, Vec b) {
  return {vmulq_f32(a.v, b.v)};
}
DL_INLINE Vec operator/(Vec a, Vec b) {
  return {vdivq_f32(a.v, b.v)};
}
DL_INLINE Vec fma(Vec a, Vec b, Vec c) {
  return {vfmaq_f32(c.v, a.v, b.v)};
}
DL_INLINE void accumulate(Vec& sum, Vec a, Vec b) {
  sum = fma(a, b, sum);
}
DL_INLINE Vec in_register(Vec a) {
  return a;
}
DL_INLINE Vec fnma(Vec a, Vec b, Vec c) {
  return {vfmsq_f32(c.v, a.v, b.v)};
}
DL_INLINE Vec sqrt(Vec a) {
  return {vsqrtq_f32(a.v)};
}
DL_INLINE Vec abs(Vec a) {
  return {vabsq_f32(a.v)};
}
DL_INLINE Vec floor(Vec a) {
  return {vrndmq_f32(a.v)};
}
DL_INLINE Vec round(Vec a) {
  return {vrndnq_f32(a.v)};
}
// By comparison, not vmaxq: that returns NaN where either is NaN, the contract wants b.
DL_INLINE Vec max(Vec a, Vec b) {
  return {vbslq_f32(vcgtq_f32(a.v, b.v), a.v, b.v)};
}
DL_INLINE Vec min(Vec a, Vec b) {
  return {vbslq_f32(vcltq_f32(a.v, b.v), a.v, b.v)};
}

DL_INLINE IVec operator+(IVec a, IVec b) {
  return {vaddq_s32(a.v, b.v)};
}
DL_INLINE IVec operator-(IVec a, IVec b) {
  return {vsubq_s32(a.v, b.v)};
}
DL_INLINE IVec operator*(IVec a, IVec b) {
  return {vmulq_s32(a.v, b.v)};
}
DL_INLINE IVec mul_high(IVec a, IVec b) {
  uint32x4_t x = vreinterpretq_u32_s32(a.v), y = vreinterpretq_u32_s32(b.v);
  uint64x2_t low = vmull_u32(vget_low_u32(x), vget_low_u32(y)), high = vmull_high_u32(x, y);
  return {vreinterpretq_s32_u32(vuzp2q_u32(vreinterpretq_u32_u64(low), vreinterpretq_u32_u64(high)))};
}
DL_INLINE IVec operator&(IVec a, IVec b) {
  return {vandq_s32(a.v, b.v)};
}
DL_INLINE IVec operator|(IVec a, IVec b) {
  return {vorrq_s32(a.v, b.v)};
}
DL_INLINE IVec operator^(IVec a, IVec b) {
  return {veorq_s32(a.v, b.v)};
}
template <int N>
DL_INLINE IVec shift_left(IVec a) {
  return {vshlq_n_s32(a.v, N)};
}
template <int N>
DL_INLINE IVec shift_right(IVec a) {
  return {vreinterpretq_s32_u32(vshrq_n_u32(vreinterpretq_u32_s32(a.v), N))};
}
template <int N>
DL_INLINE IVec shift_right_signed(IVec a) {
  return {vshrq_n_s32(a.v, N)};
}

DL_INLINE Mask operator<(Vec a, Vec b) {
  return {vcltq_f32(a.v, b.v)};
}
DL_INLINE Mask operator<=(Vec a, Vec b) {
  return {vcleq_f32(a.v, b.v)};
}
DL_INLINE Mask operator==(Vec a, Vec b) {
  return {vceqq_f32(a.v, b.v)};
}
DL_INLINE Mask operator==(IVec a, IVec b) {
  return {vceqq_s32(a.v, b.v)};
}
DL_INLINE Mask operator&(Mask a, Mask b) {
  return {vandq_u32(a.v, b.v)};
}
DL_INLINE Mask operator|(Mask a, Mask b) {
  return {vorrq_u32(a.v, b.v)};
}
DL_INLINE Mask operator!(Mask a) {
  return {vmvnq_u32(a.v)};
}
DL_INLINE bool any(Mask a) {
  return vmaxvq_u32(a.v) != 0;
}
DL_INLINE Vec select(Mask m, Vec a, Vec b) {
  return {vbslq_f32(m.v, a.v, b.v)};
}
DL_INLINE IVec select(Mask m, IVec a, IVec b) {
  return {vbslq_s32(m.v, a.v, b.v)};
}

DL_INLINE Vec to_float(IVec a) {
  return {vcvtq_f32_s32(a.v)};
}
DL_INLINE IVec to_int(Vec a) {
  return {vcvtnq_s32_f32(a.v)};
}
DL_INLINE IVec bits(Vec a) {
  return {vreinterpretq_s32_f32(a.v)};
}
DL_INLINE Vec from_bits(IVec a) {
  return {vreinterpretq_f32_s32(a.v)};
}
template <int J>
DL_INLINE Vec broadcast_quad(Vec a) {
  return {vdupq_laneq_f32(a.v, J)};
}

DL_INLINE float sum(Vec a) {
  float32x2_t x = vadd_f32(vget_low_f32(a.v), vget_high_f32(a.v));
  return vget_lane_f32(x, 0) + vget_lane_f32(x, 1);
}
DL_INLINE float max_lane(Vec a) {
  float32x2_t x = vmax_f32(vget_low_f32(a.v), vget_high_f32(a.v));
  float p = vget_lane_f32(x, 0), q = vget_lane_f32(x, 1);
  return p > q ? p : q;
}

}  // namespace dl::DL_ISA_NAMESPACE
