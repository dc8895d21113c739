// The kernel table of avx512: all kernel bodies, compiled with its flags. Exports one symbol.
#define DL_ISA_NAMESPACE avx512
#define DL_ISA_AVX512 1
#include "kernels/all-inl.h"

namespace dl {

const Kernels& kernels_avx512() {
  return avx512::kTable;
}

}  // namespace dl
