// A line of the caches: what memory is fetched in, and what threads should not share.
#pragma once
#include <cstdint>

namespace dl {

constexpr int64_t kLineBytes = 64;
/// In floats.
constexpr int64_t kLine = 16;

}  // namespace dl
