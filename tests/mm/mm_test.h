// What the tests of mm share: a Memory with its surroundings, and a cache that a shrinker empties.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <optional>
#include <set>
#include <thread>
#include <vector>

#include "base/base.h"
#include "mm/mm.h"

namespace dentree::mm {

// Objects that take 128 and 64 bytes with the red zone that debug builds keep behind them.
struct Object128 {
  char bytes[128 - Cache::kRedZoneBytes];
};
struct Object64 {
  char bytes[64 - Cache::kRedZoneBytes];
};

// A Memory and all it needs. Tests that leak on purpose say kReport.
struct World {
  explicit World(size_t limit = Memory::kNoLimit, OnLeak on_leak = Memory::kDefaultOnLeak)
      : World(Memory::Options{.limit_bytes = limit, .on_leak = on_leak}) {}
  explicit World(const Memory::Options& options) : memory(options, rcu, faults, sync) {}

  base::RcuDomain rcu;
  base::FaultInjector faults;
  base::SyncPoints sync;
  Memory memory;
};

// How the objects of a ListedCache go when its shrinker lets them.
enum class FreeBy { kAtOnce, kRcu };

// A cache of objects on an LRU list with its shrinker: the smallest user of mm.
class ListedCache : public Shrinker {
 public:
  struct Item {
    LruLink lru;
    std::atomic<bool> referenced{false};
    base::RcuHead rcu{};
    ListedCache* owner = nullptr;
    char payload[80 - Cache::kRedZoneBytes] = {};
  };
  static_assert(sizeof(Item) == sizeof(Object128));

  ListedCache(Memory& memory, const char* name, FreeBy free_by = FreeBy::kAtOnce)
      : memory_(memory),
        name_(name),
        free_by_(free_by),
        items_(memory, name, CacheFlags::kReclaimable) {
    registration_.emplace(memory, *this);
  }
  ~ListedCache() override {
    registration_.reset();
    while (lru_.size() != 0) Scan(Isolated<Item>::kMax);
    memory_.rcu().Drain();
  }

  // A new item; nullptr when refused.
  Item* Make() {
    Item* item = items_.New();
    if (item != nullptr) item->owner = this;
    return item;
  }
  // As Make, and reclaimable from now on.
  Item* Add() {
    Item* item = Make();
    if (item != nullptr) lru_.Add(*item);
    return item;
  }
  void Delete(Item* item) { items_.Delete(item); }

  std::string_view name() const override { return name_; }
  size_t Count() override { return lru_.size(); }
  ScanResult Scan(size_t nr) override {
    ScanResult result;
    const Isolated<Item> taken = lru_.Isolate(Isolated<Item>::kMax, nr, [&result](Item& item) {
      if (!item.referenced.exchange(false)) return LruVerdict::kRemove;
      ++result.kept.referenced;
      return LruVerdict::kRotate;
    });
    for (Item* item : taken) Dispose(*item);
    result.scanned = taken.scanned;
    result.freed = taken.count;
    scanned += result.scanned;
    return result;
  }

  ObjectCache<Item>& items() { return items_; }
  LruList<Item, &Item::lru>& lru() { return lru_; }
  const ShrinkerRegistration& registration() const { return *registration_; }

  std::atomic<size_t> scanned{0};

 private:
  void Dispose(Item& item) {
    if (free_by_ == FreeBy::kAtOnce) return items_.Delete(&item);
    const auto free = [](base::RcuHead* head) {
      Item* done = base::ObjectOf<Item, base::RcuHead, &Item::rcu>(head);
      done->owner->items_.Delete(done);
    };
    memory_.rcu().Retire(&item.rcu, free, sizeof(Item));
  }

  Memory& memory_;
  const char* const name_;
  const FreeBy free_by_;
  ObjectCache<Item> items_;
  LruList<Item, &Item::lru> lru_;
  std::optional<ShrinkerRegistration> registration_;
};

}  // namespace dentree::mm
