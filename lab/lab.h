// The laboratory: experiments with negative dentries on the real VFS. Umbrella of the lab room.
//
//     auto trace = lab::ReadTrace("git_status.tsv.xz");
//     auto run = lab::Replay(*trace, {.policy = "dirs3", .cap = 8192, .cost_ns = 4000});
//     run->hits, run->insert_ns.max()
//
// Thread safety: each experiment makes a Vfs and threads of its own, and has ended when it returns.
// Lifetime: results are values.
#pragma once

#include "lab/belady.h"
#include "lab/ext4.h"
#include "lab/generators.h"
#include "lab/histogram.h"
#include "lab/labfs.h"
#include "lab/misses.h"
#include "lab/negative.h"
#include "lab/picture.h"
#include "lab/policy.h"
#include "lab/progress.h"
#include "lab/replay.h"
#include "lab/report.h"
#include "lab/teardown.h"
#include "lab/trace.h"
