// All kernel bodies and the table of them, compiled once an instruction set by isa/<isa>.cc.
#pragma once
#include "kernels/kernels.h"
#include "kernels/peak/peak-inl.h"
#include "simd/simd.h"

namespace dl::DL_ISA_NAMESPACE {

inline constexpr Kernels kTable{
    .isa = kIsa,
    .lanes = kLanes,
    .peak = peak_kernels,
};

}  // namespace dl::DL_ISA_NAMESPACE
