// How ops on many dense tensors at once (optimizers, norms) cut their work: large tensors into pieces, small
// ones together, by shape alone.
#pragma once
#include <vector>

#include "ops/blocks.h"

namespace dl {

struct Piece {
  /// Which of the tensors, and which of its elements.
  int64_t tensor, begin, end;
};

class Pieces {
 public:
  /// Of tensors with these numbers of elements.
  explicit Pieces(const std::vector<int64_t>& sizes) {
    int64_t filled = kBlockElements;  // of the last item
    for (size_t t = 0; t < sizes.size(); t++) {
      for (int64_t begin = 0; begin < sizes[t];) {
        if (filled == kBlockElements) {
          items_.push_back(pieces_.size());
          filled = 0;
        }
        int64_t end = std::min(sizes[t], begin + kBlockElements - filled);
        pieces_.push_back({static_cast<int64_t>(t), begin, end});
        filled += end - begin;
        begin = end;
      }
    }
    items_.push_back(pieces_.size());
  }

  /// body(piece, index of the piece) for all.
  template <class Body>
  void run(const Run& run, Body&& body) const {
    run.parallel_for(static_cast<int64_t>(items_.size()) - 1, [&](int64_t item, int) {
      const auto i = static_cast<size_t>(item);
      for (size_t p = items_[i]; p < items_[i + 1]; p++) body(pieces_[p], static_cast<int64_t>(p));
    });
  }
  int64_t count() const { return static_cast<int64_t>(pieces_.size()); }

 private:
  std::vector<Piece> pieces_;
  /// Index of each item's first piece, and the end.
  std::vector<size_t> items_;
};

/// Element counts of the inputs first, first + step, ...
inline std::vector<int64_t> sizes_of(const StepSpec& spec, size_t first, size_t step) {
  std::vector<int64_t> sizes;
  for (size_t i = first; i < spec.inputs.size(); i += step) sizes.push_back(spec.inputs[i].shape.elements());
  return sizes;
}

}  // namespace dl
