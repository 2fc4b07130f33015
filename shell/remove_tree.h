// Removal of whole trees.
#pragma once

#include <functional>
#include <string>

#include "uring/ring_task.h"

namespace dentree::shell {

// What became of one name; false: go no further.
using RemovalTold = std::function<bool(const std::string& path, vfs::FileType, vfs::Status)>;

// Removes the directory at `path` with everything below it, however deep: names are looked up one
// at a time, and one descriptor is open. `tell` hears of every name that went, and of every one
// that could not be listed or removed; what is above one that stays is not tried. True if all is
// gone.
bool RemoveTree(uring::RingTask& task, const std::string& path, const RemovalTold& tell);

}  // namespace dentree::shell
