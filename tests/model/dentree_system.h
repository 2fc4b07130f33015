// DentreeSystem: a directory of a Vfs as a System.
#pragma once

#include <memory>
#include <string>

#include "tests/model/kernel_system.h"
#include "tests/model/system.h"
#include "vfs/vfs.h"

namespace dentree::model {

// A Vfs with a ramfs for its root.
std::unique_ptr<vfs::Vfs> NewVfs();

// The System of an empty directory `name` in the root of `vfs`, which becomes its root. Whose it is
// and who acts is as for the kernel's. Lifetime: within the Vfs's.
std::unique_ptr<System> NewDentreeSystem(vfs::Vfs& vfs, const std::string& name,
                                         const KernelOptions& options);

}  // namespace dentree::model
