// /sys: the places where file systems are mounted.

#include "os/system_internal.h"

namespace dentree::os {

namespace {

enum Object : kernfs::ObjectId { kKernelDir = 1, kTracingPlace, kStatsPlace, kDebugPlace };

constexpr kernfs::DirType kPlaceType{};

constexpr auto kKernelTable =
    kernfs::MakeTable(kernfs::Subdir("debug", 0700, kDebugDir, kDebugPlace),
                      kernfs::Subdir("stats", 0755, kPlaceType, kStatsPlace),
                      kernfs::Subdir("tracing", 0755, kPlaceType, kTracingPlace));
constexpr kernfs::DirType kKernelType{.table = kKernelTable};

constexpr auto kSysTable =
    kernfs::MakeTable(kernfs::Subdir("kernel", 0755, kKernelType, kKernelDir));

}  // namespace

constexpr kernfs::DirType kSysDir{.table = kSysTable};

}  // namespace dentree::os
