// kernfs: trees of control files for which nobody pays until they are used. Umbrella of the room.
//
// A directory has children of three kinds:
//     listed     Nodes that a client has created (root.h, node.h)            64 bytes each
//     table      the fixed entries of its type, constants (entry_table.h)    no bytes
//     provided   what its type's Provider finds in a registry (provider.h)   no bytes
// All three look the same from outside. Removing waits until no operation runs in what is removed
// (ops.h). docs/kernfs.md tells how it works inside.
//
// Start with root.h for the tree, ops.h for files, mount.h to see it in a Vfs.
#pragma once

#include "kernfs/entry_table.h"
#include "kernfs/mount.h"
#include "kernfs/node.h"
#include "kernfs/ops.h"
#include "kernfs/provider.h"
#include "kernfs/root.h"
