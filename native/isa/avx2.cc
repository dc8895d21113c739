// The kernel table of avx2: all kernel bodies, compiled with its flags. Exports one symbol.
#define DL_ISA_NAMESPACE avx2
#define DL_ISA_AVX2 1
#include "kernels/all-inl.h"

namespace dl {

const Kernels& kernels_avx2() {
  return avx2::kTable;
}

}  // namespace dl
