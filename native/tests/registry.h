// What main.cc and harness.cc share: the list of tests and the failures of the one that runs.
#pragma once
#include <string>
#include <vector>

#include "tests/harness.h"

namespace dl::test {

struct Test {
  const char* name;
  void (*body)();
};

/// All tests, by name.
const std::vector<Test>& tests();
/// From now on for_each_isa means the one that is used when nothing is said (see default_isa).
void only_fastest_isa();
void begin_test();
std::vector<std::string> end_test();

}  // namespace dl::test
