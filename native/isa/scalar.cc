// The kernel table of scalar: all kernel bodies, compiled with its flags. Exports one symbol.
#define DL_ISA_NAMESPACE scalar
#define DL_ISA_SCALAR 1
#include "kernels/all-inl.h"

namespace dl {

const Kernels& kernels_scalar() {
  return scalar::kTable;
}

}  // namespace dl
