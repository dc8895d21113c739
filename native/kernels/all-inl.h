// All kernel bodies and the table of them, compiled once an instruction set by isa/<isa>.cc.
#pragma once
#include "kernels/augment/augment-inl.h"
#include "kernels/binary/binary-inl.h"
#include "kernels/conv/conv-inl.h"
#include "kernels/depthwise/depthwise-inl.h"
#include "kernels/gemm/gemm-inl.h"
#include "kernels/kernels.h"
#include "kernels/loss/loss-inl.h"
#include "kernels/lrn/lrn-inl.h"
#include "kernels/math/math-inl.h"
#include "kernels/norm/norm-inl.h"
#include "kernels/optim/optim-inl.h"
#include "kernels/peak/peak-inl.h"
#include "kernels/picture/picture-inl.h"
#include "kernels/pool/pool-inl.h"
#include "kernels/random/random-inl.h"
#include "kernels/resample/resample-inl.h"
#include "kernels/rownorm/rownorm-inl.h"
#include "kernels/softmax/softmax-inl.h"
#include "kernels/unary/unary-inl.h"
#include "kernels/winograd/winograd-inl.h"
#include "simd/simd.h"

namespace dl::DL_ISA_NAMESPACE {

inline constexpr Kernels kTable{
    .isa = kIsa,
    .lanes = kLanes,
    .augment = augment_kernels,
    .lrn = lrn_kernels,
    .rownorm = rownorm_kernels,
    .random = random_kernels,
    .optim = optim_kernels,
    .loss = loss_kernels,
    .softmax = softmax_kernels,
    .binary = binary_kernels,
    .conv = conv_kernels,
    .depthwise = depthwise_kernels,
    .gemm = gemm_kernels,
    .math = math_kernels,
    .norm = norm_kernels,
    .peak = peak_kernels,
    .picture = picture_kernels,
    .unary = unary_kernels,
    .pool = pool_kernels,
    .resample = resample_kernels,
    .winograd = winograd_kernels,
};

}  // namespace dl::DL_ISA_NAMESPACE
