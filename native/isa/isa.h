// Instruction sets: detected at run time, one kernel table each. Nothing here is compiled with ISA flags.
#pragma once
#include <string>
#include <vector>

namespace dl {

struct Kernels;

enum class Isa { scalar, neon, avx2, avx512 };

const char* name_of(Isa isa);

/// What this processor and operating system run, slowest first. Always starts with scalar.
const std::vector<Isa>& supported_isas();

/// The one to use: the fastest supported, lowered (never raised) by DLCOURSE_ISA.
/// Throws E_ISA when DLCOURSE_ISA names none of the known or a higher one than the machine has.
Isa default_isa();

/// Throws E_ISA when `name` is unknown or not supported here.
Isa parse_isa(const std::string& name);

const Kernels& kernels_of(Isa isa);

}  // namespace dl
