#include "base/stats.h"

#include "base/check.h"

namespace dentree::base {

std::string_view StatKindName(StatKind kind) {
  switch (kind) {
    case StatKind::kCumulative:
      return "cumulative";
    case StatKind::kInstant:
      return "instant";
    case StatKind::kHighWater:
      return "high water";
  }
  CHECK(false, "no such kind");
  return {};
}

std::string_view StatUnitName(StatUnit unit) {
  switch (unit) {
    case StatUnit::kNone:
      return "";
    case StatUnit::kBytes:
      return "bytes";
    case StatUnit::kNanoseconds:
      return "ns";
  }
  CHECK(false, "no such unit");
  return {};
}

}  // namespace dentree::base
