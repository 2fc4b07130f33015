// Room mm: object caches, the budget, shrinkers, LRU lists, reclaim.
#pragma once

#include "mm/cache.h"
#include "mm/lru_list.h"
#include "mm/memory.h"
#include "mm/rcu_shrinker.h"
#include "mm/shrinker.h"
#include "mm/site.h"
