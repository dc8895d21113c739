// The kernel table of neon: all kernel bodies, compiled with its flags. Exports one symbol.
#define DL_ISA_NAMESPACE neon
#define DL_ISA_NEON 1
#include "kernels/all-inl.h"

namespace dl {

const Kernels& kernels_neon() {
  return neon::kTable;
}

}  // namespace dl
