// The native tests: a registry of tests, checks, and a harness that runs one op the way the executor would,
// but with guard zones around everything that it may touch.
#pragma once
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "isa/isa.h"
#include "plan/attributes.h"
#include "plan/tensor.h"

namespace dl::test {

// ---- tests and checks
// -----------------------------------------------------------------------------------------

struct Registration {
  Registration(const char* name, void (*body)());
};

#define TEST(name)                                                               \
  static void test_##name();                                                     \
  static const ::dl::test::Registration registration_##name(#name, test_##name); \
  static void test_##name()

/// Records a failure of the running test, with the contexts that are open. The test goes on.
void fail(const char* file, int line, const std::string& message);

/// Text that is put before failures while it lives: `Context context("avx2");`
class Context {
 public:
  explicit Context(std::string text);
  ~Context();
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;
};

/// The code of the dl::Error that `body` throws, or "" when it throws none.
std::string error_code(const std::function<void()>& body);

template <class... Parts>
std::string text(const Parts&... parts) {
  std::ostringstream out;
  out.precision(9);
  (out << ... << parts);
  return out.str();
}

#define CHECK(condition)                                                            \
  do {                                                                              \
    if (!(condition)) ::dl::test::fail(__FILE__, __LINE__, "expected " #condition); \
  } while (0)

#define CHECK_EQ(actual, expected)                                                             \
  do {                                                                                         \
    const auto& actual_ = (actual);                                                            \
    const auto& expected_ = (expected);                                                        \
    if (!(actual_ == expected_))                                                               \
      ::dl::test::fail(__FILE__, __LINE__,                                                     \
                       ::dl::test::text(#actual ": expected ", expected_, ", got ", actual_)); \
  } while (0)

/// |actual - expected| <= tolerance
#define CHECK_NEAR(actual, expected, tolerance)                                                            \
  do {                                                                                                     \
    const double actual_ = (actual), expected_ = (expected);                                               \
    if (!(actual_ - expected_ <= (tolerance) && expected_ - actual_ <= (tolerance)))                       \
      ::dl::test::fail(                                                                                    \
          __FILE__, __LINE__,                                                                              \
          ::dl::test::text(#actual ": expected ", expected_, " within ", (tolerance), ", got ", actual_)); \
  } while (0)

/// `statement` throws a dl::Error with this code.
#define CHECK_ERROR(code, statement) CHECK_EQ(::dl::test::error_code([&] { statement; }), std::string(code))

// ---- values
// ---------------------------------------------------------------------------------------------------

/// A dense tensor on the test's side. A double holds every f32, i32 and u8 exactly, so one type serves all.
struct Value {
  std::vector<int64_t> shape;
  std::vector<double> data;
  DType dtype = DType::f32;
  /// dims[0] follows the run-time count.
  bool counted = false;
  /// May be given a pixel stride larger than its channels.
  bool strided = false;

  int64_t elements() const;
  int64_t channels() const { return shape.empty() ? 1 : shape.back(); }
  int64_t dim(size_t i) const { return shape[i]; }
  double& operator[](int64_t i) { return data[static_cast<size_t>(i)]; }
  double operator[](int64_t i) const { return data[static_cast<size_t>(i)]; }
};

/// A batch of images or rows: counted and strided. Zeros; see random(), with_data().
Value batch(std::vector<int64_t> shape, DType dtype = DType::f32);
/// Weights, vectors, scalars: neither counted nor strided. Zeros.
Value fixed(std::vector<int64_t> shape, DType dtype = DType::f32);

/// The same value with these contents (f32 values are rounded to float).
Value with_data(Value value, std::vector<double> data);
/// Filled from a generator of its own: floats in [lo, hi), integers in lo..hi-1. Same seed, same values.
Value random(Value value, uint64_t seed, double lo = -1, double hi = 1);

/// An attribute that is a list of numbers: `{"stride", list(2, 2)}`.
template <class... Numbers>
AttributeValue list(Numbers... numbers) {
  return std::vector<double>{static_cast<double>(numbers)...};
}

// ---- running an op
// --------------------------------------------------------------------------------------------

/// Where operands lie and how the step is run.
struct Layout {
  /// Elements between the pixels of the first operand, if strided; twice as many in the second, and so on.
  /// Odd numbers also misalign pixels.
  int64_t gap = 0;
  /// Elements by which every operand is moved off its 64-byte alignment.
  int64_t shift = 0;
  /// Rows that the plan has room for beyond those of the run.
  int64_t spare_rows = 0;
  int threads = 1;
};

/// One op with its operands.
struct OpCase {
  std::string op;
  Attributes attributes;
  std::vector<Value> inputs;
  /// Shapes and types; the data is ignored.
  std::vector<Value> outputs;
  /// (output, input) pairs that share memory.
  std::vector<std::pair<int, int>> aliases{};
  /// Inputs that the op changes in place.
  std::vector<int> mutated{};
};

struct OpResult {
  std::vector<Value> outputs;
  /// The inputs after the run (of interest where they are `mutated`).
  std::vector<Value> inputs;
};

/// Runs the op as the executor would. Fails the test when it writes outside its operands (before, after,
/// between pixels, rows beyond the count), its scratch, workspace or derived memory, or changes an input that
/// is neither aliased nor mutated. Outputs, scratch and workspace start as NaN, what lies between the inputs'
/// pixels too. An op with derived memory is run a second time with derived_fresh and must give the same.
OpResult run_op(const OpCase& op, Isa isa, const Layout& layout = {});

/// Every instruction set that this machine has, each in a Context.
void for_each_isa(const std::function<void(Isa)>& body);

/// The test of an op: on every ISA, dense, misaligned, with gaps, with spare rows, with 1 to 4 threads;
/// compares with `expected` (see compare) and wants the same bytes from every layout and number of threads.
/// With `mutated` inputs, `expected` holds the outputs followed by the mutated inputs.
void check_op(const OpCase& op, const std::vector<Value>& expected, double tolerance);

// ---- comparing
// ------------------------------------------------------------------------------------------------

/// |actual - expected| <= tolerance · max|expected|, the scale on which sums round. NaN equals NaN only.
/// Integers must be equal.
void compare(const Value& actual, const Value& expected, double tolerance, const std::string& what = "");
/// |actual - expected| <= relative · |expected| + absolute, for functions of single elements.
void compare_elements(const Value& actual, const Value& expected, double relative, double absolute,
                      const std::string& what = "");
/// The same bytes.
void compare_bytes(const Value& actual, const Value& expected, const std::string& what = "");

/// The gradient of L(x) = Σ forward(x) · dy with respect to x, by central differences in double: what the
/// gradient of a double reference function is checked against.
Value numeric_gradient(const Value& x, const Value& dy, const std::function<Value(const Value&)>& forward,
                       double step = 1e-3);

}  // namespace dl::test
