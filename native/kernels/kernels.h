// The kernel table of one instruction set: a struct of function pointers a family. Ops choose and split;
// kernels compute on one thread, on raw pointers and strides.
//
// To add a family: kernels/<family>/<family>.h declares `struct <Family>Kernels` with the maths as a comment,
// kernels/<family>/<family>-inl.h defines, in namespace dl::DL_ISA_NAMESPACE, its bodies on the vector type
// of simd/simd.h and `inline constexpr <Family>Kernels <family>_kernels`. Then two lines here, two in
// all-inl.h.
#pragma once
#include "isa/isa.h"
#include "kernels/augment/augment.h"
#include "kernels/binary/binary.h"
#include "kernels/conv/conv.h"
#include "kernels/depthwise/depthwise.h"
#include "kernels/gemm/gemm.h"
#include "kernels/loss/loss.h"
#include "kernels/lrn/lrn.h"
#include "kernels/math/math.h"
#include "kernels/norm/norm.h"
#include "kernels/optim/optim.h"
#include "kernels/peak/peak.h"
#include "kernels/picture/picture.h"
#include "kernels/pool/pool.h"
#include "kernels/random/random.h"
#include "kernels/resample/resample.h"
#include "kernels/rownorm/rownorm.h"
#include "kernels/softmax/softmax.h"
#include "kernels/unary/unary.h"
#include "kernels/winograd/winograd.h"

namespace dl {

struct Kernels {
  Isa isa;
  /// 32-bit lanes of a vector.
  int lanes;
  AugmentKernels augment;
  LrnKernels lrn;
  RownormKernels rownorm;
  RandomKernels random;
  OptimKernels optim;
  LossKernels loss;
  SoftmaxKernels softmax;
  BinaryKernels binary;
  ConvKernels conv;
  DepthwiseKernels depthwise;
  GemmKernels gemm;
  MathKernels math;
  NormKernels norm;
  PeakKernels peak;
  PictureKernels picture;
  UnaryKernels unary;
  PoolKernels pool;
  ResampleKernels resample;
  WinogradKernels winograd;
};

}  // namespace dl
