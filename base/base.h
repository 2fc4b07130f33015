#pragma once

// The ground floor: errors, locks with ranks, RCU, lists, hashing, clocks, faults, sync points,
// statistics.

#include "base/check.h"
#include "base/clock.h"
#include "base/errno.h"
#include "base/fault.h"
#include "base/hash.h"
#include "base/list.h"
#include "base/lock_rank.h"
#include "base/lockref.h"
#include "base/mutex.h"
#include "base/protected.h"
#include "base/rcu.h"
#include "base/rcu_list.h"
#include "base/refptr.h"
#include "base/seqcount.h"
#include "base/stats.h"
#include "base/string_util.h"
#include "base/sync_point.h"
#include "base/thread_annotations.h"
#include "base/thread_index.h"
