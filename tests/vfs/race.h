// What race tests of the VFS share.
#pragma once

#include <atomic>
#include <thread>
#include <vector>

#include "vfs/vfs.h"

namespace dentree::vfs {

// `change(i)` `rounds` times, while two threads, each with a task of its own, do `look(task)` over
// and over; at least once each.
template <class Change, class Look>
void WhileTwoLook(Vfs& vfs, int rounds, Change change, Look look) {
  std::atomic<bool> done{false};
  std::atomic<int> looking{0};
  std::vector<std::jthread> threads;
  for (int i = 0; i < 2; ++i) {
    threads.emplace_back([&] {
      Task own(vfs, Creds::Root());
      look(own);
      ++looking;
      while (!done.load()) look(own);
    });
  }
  while (looking.load() < 2) std::this_thread::yield();
  for (int i = 0; i < rounds; ++i) change(i);
  done.store(true);
}

}  // namespace dentree::vfs
