// UringTest: a Vfs with a loop, and a pipe among control files, /k/pipe.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "fixture/fixture.h"
#include "kernfs/kernfs.h"
#include "uring/uring.h"

namespace dentree::uring {

using fixture::FailsWith;
using fixture::Holds;
using fixture::IsOk;

constexpr int32_t Res(Errno error) { return -static_cast<int32_t>(error); }

inline std::span<std::byte> Bytes(std::span<char> chars) { return std::as_writable_bytes(chars); }
inline std::span<const std::byte> Text(std::string_view text) {
  return std::as_bytes(std::span(text));
}

// Bytes that one writes and another reads; who finds none, or no room, waits.
//
// Sync points: "test:pipe:wait", between finding nothing to do and waiting.
class Pipe {
 public:
  static constexpr size_t kCapacity = 4096;

  explicit Pipe(base::SyncPoints& sync) : sync_(sync) {}
  base::SyncPoints& sync() { return sync_; }
  void Put(std::string_view bytes);
  size_t Take(std::span<std::byte> out);
  size_t Add(std::string_view bytes);  // what there is room for
  size_t size() const;

 private:
  base::SyncPoints& sync_;
  mutable base::Mutex<base::LockRank::kLeaf> mutex_;
  std::string bytes_ DT_GUARDED_BY(mutex_);
};

class UringTest : public fixture::VfsTest {
 protected:
  explicit UringTest(const Loop::Options& loop_options = {}) : loop_options_(loop_options) {}
  void SetUp() override;
  void TearDown() override;

  Loop& loop() { return *loop_; }
  void EndLoop() { loop_.reset(); }
  std::unique_ptr<Queue> NewQueue(uint32_t entries) { return NewQueue(task(), entries); }
  std::unique_ptr<Queue> NewQueue(vfs::Task& of, uint32_t entries) {
    return loop_->Attach(of, entries).value();
  }
  // One request, in a queue of its own.
  int32_t Call(const Entry& entry) { return NewQueue(1)->Call(entry); }
  // Lets everything that `queue` has submitted be served, if only to be parked: pushes a kNop and
  // waits for it. REQUIRES: nothing else of the queue can complete meanwhile.
  static void Settle(Queue& queue);

  kernfs::Root& root() { return *root_; }
  kernfs::Node& pipe_node() { return *pipe_node_; }
  Pipe& pipe() { return *pipe_; }
  // Data for the readers of /k/pipe.
  void Feed(std::string_view bytes);
  void RemovePipe();
  int OpenPipe(vfs::OpenFlags flags) { return task().Open("/k/pipe", flags).value(); }

 private:
  const Loop::Options loop_options_;
  std::unique_ptr<Pipe> pipe_;
  std::shared_ptr<kernfs::Kernfs> kernfs_;
  kernfs::RootRef root_;
  kernfs::NodeRef pipe_node_;
  std::unique_ptr<Loop> loop_;
};

}  // namespace dentree::uring
