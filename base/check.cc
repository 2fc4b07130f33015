#include "base/check.h"

#include <cstdio>
#include <cstdlib>

namespace dentree::base {

void CheckFailed(const char* file, int line, const char* condition, const char* why) {
  std::fprintf(stderr, "%s:%d: check failed: %s%s%s\n", file, line, condition,
               why != nullptr ? ": " : "", why != nullptr ? why : "");
  std::abort();
}

bool BuiltOptimized() {
#ifdef __OPTIMIZE__
  return true;
#else
  return false;
#endif
}

}  // namespace dentree::base
