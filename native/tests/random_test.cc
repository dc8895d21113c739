// Random numbers by counter, and dropout.
#include <cmath>

#include "kernels/kernels.h"
#include "tests/harness.h"

namespace dl::test {
namespace {

/// Philox4x32-10 as the paper writes it.
void philox(const uint32_t (&key)[2], uint32_t (&x)[4]) {
  uint32_t k0 = key[0], k1 = key[1];
  for (int round = 0; round < 10; round++) {
    uint64_t p0 = uint64_t{0xD2511F53} * x[0], p1 = uint64_t{0xCD9E8D57} * x[2];
    const uint32_t next[4] = {static_cast<uint32_t>(p1 >> 32) ^ x[1] ^ k0, static_cast<uint32_t>(p1),
                              static_cast<uint32_t>(p0 >> 32) ^ x[3] ^ k1, static_cast<uint32_t>(p0)};
    std::copy(next, next + 4, x);
    k0 += 0x9E3779B9;
    k1 += 0xBB67AE85;
  }
}

/// Random123's known answers (kat_vectors of philox4x32-10): counter, key, output.
TEST(philox_known_answers) {
  const uint32_t cases[3][10] = {
      {0, 0, 0, 0, 0, 0, 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8},
      {0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0x408f276d, 0x41c83b0e,
       0xa20bc7c6, 0x6d5451fd},
      {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344, 0xa4093822, 0x299f31d0, 0xd16cfe09, 0x94fdcceb,
       0x5001e420, 0x24126ea1},
  };
  for (const auto& c : cases) {
    uint32_t x[4] = {c[0], c[1], c[2], c[3]};
    philox({c[4], c[5]}, x);
    for (int j = 0; j < 4; j++) CHECK_EQ(x[j], c[6 + j]);
    // Counter c[0] is the lane c[0] % 16 of group c[0] / 16.
    for_each_isa([&](Isa isa) {
      uint32_t words[64];
      kernels_of(isa).random.words({{c[4], c[5]}, {c[1], c[2], c[3]}}, c[0] / 16, 1, words);
      for (uint32_t j = 0; j < 4; j++) CHECK_EQ(words[16 * j + c[0] % 16], c[6 + j]);
    });
  }
}

TEST(philox_words_are_the_same_everywhere) {
  const RandomStream stream{{1, 2}, {3, 4, 5}};
  for_each_isa([&](Isa isa) {
    std::vector<uint32_t> words(64 * 5);
    kernels_of(isa).random.words(stream, 7, 5, words.data());
    for (uint32_t g = 0; g < 5; g++)
      for (uint32_t lane = 0; lane < 16; lane++) {
        uint32_t x[4] = {16 * (7 + g) + lane, 3, 4, 5};
        philox({1, 2}, x);
        for (uint32_t j = 0; j < 4; j++) CHECK_EQ(words[64 * g + 16 * j + lane], x[j]);
      }
  });
}

struct Setting {
  double rate = 0.3;
  int32_t seed_low = 5, seed_high = -6, step = 9, row = 100;
  uint32_t key = 0xfedcba98;
};

OpCase dropout(const Value& x, const Setting& s, const char* per) {
  Value random = with_data(fixed({4}, DType::i32),
                           {double(s.seed_low), double(s.seed_high), double(s.step), double(s.row)});
  return {"dropout",
          {{"key", static_cast<double>(s.key)}, {"per", std::string(per)}},
          {x, with_data(fixed({1}), {s.rate}), random},
          {x}};
}

/// From the definition in ops/dropout.cc.
Value expected_dropout(const Value& x, const Setting& s, const std::string& per) {
  Value y = x;
  const int64_t c = x.channels(), sample = x.elements() / x.dim(0);
  const double rate = static_cast<double>(static_cast<float>(s.rate));
  for (int64_t i = 0; i < x.elements(); i++) {
    const int64_t e = per == "element" ? i % sample : per == "channel" ? i % c : 0;
    uint32_t counter[4] = {static_cast<uint32_t>(e / 64 * 16 + e % 16),
                           static_cast<uint32_t>(s.row + i / sample), static_cast<uint32_t>(s.step), s.key};
    philox({static_cast<uint32_t>(s.seed_low), static_cast<uint32_t>(s.seed_high)}, counter);
    const double uniform = (counter[e % 64 / 16] >> 8) * 0x1p-24;
    y[i] = uniform < rate ? 0 * x[i] : x[i] / (1 - rate);
  }
  return y;
}

TEST(dropout) {
  for (std::vector<int64_t> shape :
       {std::vector<int64_t>{3, 4, 5, 21}, {7, 130}, {2, 60, 40, 16}, {2, 1, 1, 9000}}) {
    for (const char* per : {"element", "sample", "channel"}) {
      Value x = random(batch(shape), 141, 1, 2);
      Setting s;
      check_op(dropout(x, s, per), {expected_dropout(x, s, per)}, 1e-6);
      OpCase op = dropout(x, s, per);
      op.aliases = {{0, 0}};
      for_each_isa([&](Isa isa) {
        compare(run_op(op, isa, {.gap = 1}).outputs[0], expected_dropout(x, s, per), 1e-6);
      });
    }
  }
}

TEST(dropout_rates_and_keys) {
  Value x = batch({4, 25000});
  std::fill(x.data.begin(), x.data.end(), 1.0);
  auto kept = [&](const Setting& s) {
    Value y = run_op(dropout(x, s, "element"), default_isa()).outputs[0];
    double count = 0;
    for (double v : y.data) count += v != 0;
    return count / 1e5;
  };
  Setting s;
  // 100,000 draws: six standard deviations are 0.0087.
  CHECK_NEAR(kept(s), 0.7, 0.0087);
  s.rate = 0;
  CHECK_EQ(kept(s), 1.0);
  s.rate = 1;
  CHECK_EQ(kept(s), 0.0);
  // Rows continue where another batch ends: row 2 of one is row 0 of the other.
  s = {};
  Value first = run_op(dropout(x, s, "element"), default_isa()).outputs[0];
  s.row += 2;
  Value later = run_op(dropout(x, s, "element"), default_isa()).outputs[0];
  for (int64_t i = 0; i < 25000; i++) CHECK_EQ(later[i], first[50000 + i]);
  // Everything else gives another mask.
  for (int change = 0; change < 4; change++) {
    Setting other;
    if (change == 0) other.seed_low++;
    if (change == 1) other.seed_high++;
    if (change == 2) other.step++;
    if (change == 3) other.key++;
    Value y = run_op(dropout(x, other, "element"), default_isa()).outputs[0];
    double same = 0;
    for (int64_t i = 0; i < x.elements(); i++) same += (y[i] != 0) == (first[i] != 0);
    CHECK_NEAR(same / 1e5, 0.58, 0.0095);  // 0.7² + 0.3²
  }
}

}  // namespace
}  // namespace dl::test
