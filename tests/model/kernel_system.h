// KernelSystem: a tmpfs of the machine's kernel as a System, and what this machine lets us have.
//
// Each one is a tmpfs of its own that is never mounted anywhere: only the thread that made it,
// whose root it becomes, can name what is in it, and it is gone with the thread, however the
// program ends.
#pragma once

#include <memory>
#include <string>

#include "tests/model/system.h"

namespace dentree::model {

struct KernelOptions {
  bool several_users = false;        // of kWho; otherwise Become does nothing and nobody is root
  uint32_t uid = 0, gid = 0;         // who acts when there is one user
  bool protected_links = false;      // fs.protected_symlinks, and not _fifos and _regular
  bool protected_hardlinks = false;  // fs.protected_hardlinks
};

// What this process can have; to be called once, before there are threads. An empty `why_not`:
// a tmpfs can be made.
KernelOptions PrepareKernel(std::string& why_not);

// The calling thread leaves the directories and descriptors of its process for an empty tmpfs.
// Null: it cannot, `why_not` says why.
std::unique_ptr<System> NewKernelSystem(const KernelOptions& options, std::string& why_not);

}  // namespace dentree::model
