// Request loops: system calls as entries in a queue, in io_uring's vocabulary. Umbrella of the
// uring room.
//
//     auto loop = uring::Loop::Start(vfs).value();
//     auto queue = loop->Attach(task, 64).value();
//     queue->Push(Entry::Openat(vfs::kAtFdCwd, "/a", O_RDONLY), 1);
//     queue->Push(Entry::Mkdirat(vfs::kAtFdCwd, "/b", 0755), 2);
//     Completion done[2];
//     queue->Wait(done, 2);      // done[0] = {.user_data = 1, .res = a descriptor or -errno}
//
// One thread, with one io_uring of the kernel's, serves any number of queues. It runs each request
// to its end, unless that would have to wait: such a request is parked and holds no thread, no lock
// and no active reference until it is worth trying again. The thread sleeps in io_uring_enter only;
// who gives it something to do wakes it only if it sleeps.
//
// docs/uring.md is the reference.
#pragma once

#include "uring/entry.h"
#include "uring/loop.h"
#include "uring/queue.h"
#include "uring/ring_task.h"
#include "uring/stats.h"
