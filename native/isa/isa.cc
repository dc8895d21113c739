// See isa.h. Detection asks the processor and, for the wide registers, whether the operating system saves
// them.
#include "isa/isa.h"

#include <cstdint>
#include <cstdlib>

#include "base/error.h"
#include "kernels/kernels.h"

#if defined(__x86_64__) || defined(_M_X64)
#define DL_X86 1
#if defined(_MSC_VER)
#include <immintrin.h>
#include <intrin.h>
#else
#include <cpuid.h>
#endif
#endif

namespace dl {

const Kernels& kernels_scalar();
const Kernels& kernels_avx2();
const Kernels& kernels_avx512();
const Kernels& kernels_neon();

namespace {

constexpr Isa kAll[] = {Isa::scalar, Isa::neon, Isa::avx2, Isa::avx512};

#ifdef DL_X86

struct Registers {
  uint32_t a, b, c, d;
};

Registers cpuid(uint32_t leaf) {
#if defined(_MSC_VER)
  int r[4];
  __cpuidex(r, static_cast<int>(leaf), 0);
  return {static_cast<uint32_t>(r[0]), static_cast<uint32_t>(r[1]), static_cast<uint32_t>(r[2]),
          static_cast<uint32_t>(r[3])};
#else
  Registers r{};
  __cpuid_count(leaf, 0, r.a, r.b, r.c, r.d);
  return r;
#endif
}

/// The register sets that the operating system saves (XCR0).
uint64_t saved_registers() {
#if defined(_MSC_VER)
  return _xgetbv(0);
#else
  uint32_t low, high;
  asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (uint64_t{high} << 32) | low;
#endif
}

bool has(uint32_t word, int bit) {
  return (word >> bit) & 1;
}

void detect(std::vector<Isa>& found) {
#ifdef DL_HAS_AVX2
  if (cpuid(0).a < 7) return;
  Registers basic = cpuid(1), extended = cpuid(7);
  bool osxsave = has(basic.c, 27), avx = has(basic.c, 28), fma = has(basic.c, 12);
  if (!osxsave || !avx || !fma) return;
  uint64_t saved = saved_registers();
  constexpr uint64_t kYmm = 0x6;
  if ((saved & kYmm) != kYmm || !has(extended.b, 5)) return;
  found.push_back(Isa::avx2);
#ifdef DL_HAS_AVX512
  constexpr uint64_t kZmm = 0xe6;
  bool f = has(extended.b, 16), dq = has(extended.b, 17), bw = has(extended.b, 30), vl = has(extended.b, 31);
  if ((saved & kZmm) == kZmm && f && dq && bw && vl) found.push_back(Isa::avx512);
#endif
#endif
}

#elif defined(DL_HAS_NEON)

// Advanced SIMD is part of 64-bit Arm.
void detect(std::vector<Isa>& found) {
  found.push_back(Isa::neon);
}

#else

void detect(std::vector<Isa>&) {}

#endif

std::string names(const std::vector<Isa>& isas) {
  std::string text;
  for (Isa isa : isas) text += (text.empty() ? "" : ", ") + std::string(name_of(isa));
  return text;
}

}  // namespace

const char* name_of(Isa isa) {
  switch (isa) {
    case Isa::scalar:
      return "scalar";
    case Isa::neon:
      return "neon";
    case Isa::avx2:
      return "avx2";
    case Isa::avx512:
      return "avx512";
  }
  return "unknown";
}

const std::vector<Isa>& supported_isas() {
  static const std::vector<Isa> list = [] {
    std::vector<Isa> found{Isa::scalar};
    detect(found);
    return found;
  }();
  return list;
}

Isa parse_isa(const std::string& name) {
  for (Isa isa : kAll) {
    if (name != name_of(isa)) continue;
    for (Isa supported : supported_isas()) {
      if (supported == isa) return isa;
    }
    throw Error("E_ISA", "instruction set: expected one of " + names(supported_isas()) +
                             " (what this processor runs), got '" + name +
                             "'; choose a lower one or leave it out");
  }
  throw Error("E_ISA", "instruction set: expected one of " + names({std::begin(kAll), std::end(kAll)}) +
                           ", got '" + name + "'");
}

Isa default_isa() {
  const char* wanted = std::getenv("DLCOURSE_ISA");
  return wanted && *wanted ? parse_isa(wanted) : supported_isas().back();
}

const Kernels& kernels_of(Isa isa) {
  switch (isa) {
#ifdef DL_HAS_AVX512
    case Isa::avx512:
      return kernels_avx512();
#endif
#ifdef DL_HAS_AVX2
    case Isa::avx2:
      return kernels_avx2();
#endif
#ifdef DL_HAS_NEON
    case Isa::neon:
      return kernels_neon();
#endif
    default:
      return kernels_scalar();
  }
}

}  // namespace dl
