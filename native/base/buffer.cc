// See buffer.h. On Linux and macOS blocks come from mmap: zeroed, and given back to the system when freed.
#include "base/buffer.h"

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>
#include <string>
#include <utility>

#include "base/error.h"
#include "base/line.h"

#if defined(__unix__) || defined(__APPLE__)
#include <sys/mman.h>
#define DL_HAS_MMAP 1
#endif

namespace dl {
namespace {

constexpr size_t kHugePage = size_t{2} << 20;
/// A whole number of pages on every system.
constexpr size_t kPage = size_t{64} << 10;

std::atomic<size_t> live{0};
std::atomic<size_t> peak{0};

void count(size_t bytes) {
  size_t now = live.fetch_add(bytes) + bytes;
  size_t before = peak.load();
  while (now > before && !peak.compare_exchange_weak(before, now)) {
  }
}

[[noreturn]] void out_of_memory(size_t bytes) {
  throw Error("E_MEMORY", "cannot allocate " + std::to_string(bytes >> 20) + " MiB");
}

}  // namespace

Buffer::Buffer(size_t bytes) : size_(bytes) {
  if (bytes == 0) return;
  if (bytes > SIZE_MAX - 2 * kHugePage) out_of_memory(bytes);
#ifdef DL_HAS_MMAP
  if (bytes >= kHugePage) {
    // Map one huge page more than needed, then give back what lies outside the aligned block.
    // What does not fill a huge page lies on usual ones: rounded up, tensors of a few MiB would take half as
    // much again.
    size_t size = (bytes + kPage - 1) / kPage * kPage;
    void* block = mmap(nullptr, size + kHugePage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (block == MAP_FAILED) out_of_memory(bytes);
    auto start = reinterpret_cast<uintptr_t>(block);
    uintptr_t aligned = (start + kHugePage - 1) / kHugePage * kHugePage;
    if (aligned > start) munmap(block, aligned - start);
    size_t tail = start + kHugePage - aligned;
    if (tail > 0) munmap(reinterpret_cast<void*>(aligned + size), tail);
    data_ = reinterpret_cast<std::byte*>(aligned);
    mapped_ = size;
#ifdef MADV_HUGEPAGE
    madvise(data_, size, MADV_HUGEPAGE);
#endif
    count(mapped_);
    return;
  }
#endif
  data_ = static_cast<std::byte*>(::operator new (bytes, std::align_val_t{kLineBytes}, std::nothrow));
  if (!data_) out_of_memory(bytes);
  std::memset(data_, 0, bytes);
  count(size_);
}

Buffer::Buffer(Buffer&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)),
      mapped_(std::exchange(other.mapped_, 0)) {}

Buffer& Buffer::operator=(Buffer&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  std::swap(mapped_, other.mapped_);
  return *this;
}

Buffer::~Buffer() {
  if (!data_) return;
  live.fetch_sub(mapped_ ? mapped_ : size_);
#ifdef DL_HAS_MMAP
  if (mapped_) {
    munmap(data_, mapped_);
    return;
  }
#endif
  ::operator delete (data_, std::align_val_t{kLineBytes});
}

size_t Buffer::live_bytes() noexcept {
  return live.load();
}
size_t Buffer::peak_bytes() noexcept {
  return peak.load();
}

}  // namespace dl
