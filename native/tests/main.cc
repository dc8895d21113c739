// native_tests [--shard I/N] [--fastest] [NAME…]: runs the native tests: all, or those whose name contains
// one of the arguments; of these every Nth from the Ith, so that N processes share them; on every instruction
// set, or the fastest alone. Exit status 1 when one fails.
#include <cstdio>
#include <cstring>
#include <exception>
#include <vector>

#include "tests/registry.h"

int main(int count, char** arguments) {
  using namespace dl::test;
  int shard = 1, shards = 1;
  std::vector<const char*> names;
  for (int i = 1; i < count; i++) {
    if (std::strcmp(arguments[i], "--fastest") == 0) {
      only_fastest_isa();
    } else if (std::strcmp(arguments[i], "--shard") != 0) {
      names.push_back(arguments[i]);
    } else if (++i == count || std::sscanf(arguments[i], "%d/%d", &shard, &shards) != 2 || shard < 1 ||
               shard > shards) {
      std::printf("--shard: expected I/N with I from 1 to N\n");
      return 2;
    }
  }
  int passed = 0, failed = 0, found = 0;
  for (const Test& test : tests()) {
    bool wanted = names.empty();
    for (const char* name : names) wanted = wanted || std::strstr(test.name, name) != nullptr;
    if (!wanted || found++ % shards != shard - 1) continue;
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
