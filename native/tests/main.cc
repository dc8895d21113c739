// Runs the native tests: all, or those whose name contains one of the arguments. Exit status 1 when one
// fails.
#include <cstdio>
#include <cstring>
#include <exception>

#include "tests/registry.h"

int main(int count, char** arguments) {
  using namespace dl::test;
  int passed = 0, failed = 0;
  for (const Test& test : tests()) {
    bool wanted = count <= 1;
    for (int i = 1; i < count; i++) wanted = wanted || std::strstr(test.name, arguments[i]) != nullptr;
    if (!wanted) continue;
    begin_test();
    try {
      test.body();
    } catch (const std::exception& error) {
      fail(test.name, 0, std::string("threw: ") + error.what());
    }
    const auto failures = end_test();
    (failures.empty() ? passed : failed)++;
    if (failures.empty()) continue;
    std::printf("FAILED %s\n", test.name);
    for (size_t i = 0; i < failures.size() && i < 8; i++) std::printf("  %s\n", failures[i].c_str());
    if (failures.size() > 8) std::printf("  and %zu more\n", failures.size() - 8);
    std::fflush(stdout);
  }
  std::printf("%d passed, %d failed\n", passed, failed);
  return failed > 0 || passed == 0 ? 1 : 0;
}
